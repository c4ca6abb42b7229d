"""The cases that every driven program goes through. A module of tests imports them and has a fixture `driver`."""

import time
from collections.abc import Callable

import pytest

from harness.driver import Driver
from harness.records import CODECS, Sample, samples
from harness.target import Target


def _require(driver: Driver, verb: str) -> None:
    if verb not in driver.verbs:
        pytest.skip(f"the client has no `{verb}`")


def _with_sorted_headers(record: Sample) -> Sample:
    return Sample(record.key, record.value, tuple(sorted(record.headers)))


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_they_were(broker: Target, driver: Driver, topic: str, codec: str) -> None:
    if codec not in driver.codecs:
        pytest.skip(f"the client has no {codec}")
    driver.ask(broker, "create", topic, 1)
    sent = samples(
        null_headers=driver.null_headers,
        repeated_headers=driver.repeated_headers,
        binary_headers=driver.binary_headers,
        empty_bytes=driver.empty_bytes,
    )
    shape = (lambda record: record) if driver.ordered_headers else _with_sorted_headers
    assert driver.produce(broker, topic, sent, codec) == list(range(len(sent)))
    for warmth in broker.warmths():
        got = driver.read(broker, topic, 0, len(sent))
        assert [offset for offset, _ in got] == list(range(len(sent))), warmth
        assert [shape(record) for _, record in got] == [shape(record) for record in sent], warmth
        assert [offset for offset, _ in driver.read(broker, topic, 150, 50)] == list(range(150, 200)), warmth


@pytest.mark.parametrize("acks", ["0", "1"])
def test_acks(broker: Target, driver: Driver, topic: str, acks: str) -> None:
    driver.ask(broker, "create", topic, 1)
    sent = [Sample(b"%d" % i, b"v%d" % i) for i in range(2000)]
    driver.produce(broker, topic, sent, acks=acks)
    got = driver.read(broker, topic, 0, len(sent))
    assert [record for _, record in got] == sent


def test_large_records(broker: Target, driver: Driver, topic: str) -> None:
    driver.ask(broker, "create", topic, 1)
    sent = [Sample(b"%d" % i, bytes([i]) * 900_000) for i in range(10)]
    driver.produce(broker, topic, sent)
    for warmth in broker.warmths():
        assert [record for _, record in driver.read(broker, topic, 0, len(sent))] == sent, warmth


def test_a_group_resumes_where_it_committed(broker: Target, driver: Driver, topic: str) -> None:
    _require(driver, "group")
    driver.ask(broker, "create", topic, 1)
    sent = [Sample(b"%d" % i, b"v%d" % i) for i in range(60)]
    driver.produce(broker, topic, sent)
    got = driver.group(broker, topic, 20)
    for _warmth in broker.warmths():
        got += driver.group(broker, topic, 20)
    assert [record for _, record in got] == sent[: len(got)]
    assert len(got) >= 40


def test_members_come_and_go(broker: Target, driver: Driver, topic: str) -> None:
    _require(driver, "rebalance")
    driver.ask(broker, "create", topic, 4)
    driver.ask(broker, "rebalance", topic, 4)


def test_offsets_for_times(broker: Target, driver: Driver, topic: str) -> None:
    _require(driver, "times")
    driver.ask(broker, "create", topic, 1)
    before = int(time.time() * 1000) - 1000
    driver.produce(broker, topic, [Sample(None, b"x")] * 10)
    after = int(time.time() * 1000) + 100_000
    for warmth in broker.warmths():
        ((early, late, start, end, stable, newest),) = driver.ask(broker, "times", topic, before, after)
        assert (early, start, end, stable) == (0, 0, 10, 10), warmth
        # Clients turn the broker's "there is none" into the end of the log, or leave it.
        assert late in (-1, 10), warmth
        assert newest in range(10), warmth


def test_admin(broker: Target, driver: Driver, topic: str, observe: Callable) -> None:
    _require(driver, "admin")
    driver.ask(broker, "create", topic, 1)
    driver.produce(broker, topic, [Sample(None, b"x")] * 10)
    (seen,) = driver.ask(broker, "admin", topic)
    observe("seen", seen)
    assert seen["partitions"] == 3
    assert seen["retention.ms"] == "123456"
    assert seen["low watermark"] == 5
    for warmth in broker.warmths():
        assert [offset for offset, _ in driver.read(broker, topic, 5, 5)] == [5, 6, 7, 8, 9], warmth


def test_mistakes(broker: Target, driver: Driver, topic: str, observe: Callable) -> None:
    _require(driver, "errors")
    driver.ask(broker, "create", topic, 1)
    (seen,) = driver.ask(broker, "errors", topic)
    observe("seen", seen)
    assert seen["exists"] == "TOPIC_ALREADY_EXISTS"
    assert seen["name"] == "INVALID_TOPIC_EXCEPTION"
    assert seen["large"] == "MESSAGE_TOO_LARGE"
