"""kcat, as Debian ships it (librdkafka 2.0): what people type first."""

import json
from collections.abc import Callable

import pytest

from harness import tools
from harness.records import CODECS
from harness.target import Target
from harness.waiting import wait_for

KCAT = tools.require_program("kcat")


def kcat(broker: Target, *words: str, stdin: str | bytes | None = None, may_fail: bool = False) -> tools.Outcome:
    return tools.run([KCAT, "-b", broker.bootstrap, *words], stdin, may_fail=may_fail)


def consume(broker: Target, topic: str, *words: str) -> list[dict]:
    """Records from the beginning to the end, as kcat's JSON without what differs from run to run."""
    out = kcat(broker, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J", *words)
    records = [json.loads(line) for line in out.lines]
    return [
        {name: value for name, value in record.items() if name not in ("ts", "broker", "tstype")} for record in records
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_comes_back(broker: Target, topic: str, codec: str) -> None:
    lines = [f"k{i}:{'v' * (i % 300)}{i}" for i in range(2000)]
    kcat(broker, "-P", "-t", topic, "-K:", "-z", codec, "-X", "linger.ms=20", stdin="\n".join(lines))
    for warmth in broker.warmths():
        got = [f"{record['key']}:{record['payload']}" for record in consume(broker, topic)]
        assert got == lines, warmth


@pytest.mark.core
def test_keys_headers_and_tombstones(broker: Target, topic: str, observe: Callable) -> None:
    kcat(broker, "-P", "-t", topic, "-K:", "-Z", "-H", "a=1", "-H", "a=2", "-H", "b=", stdin="k1:v1\nk2:\n:v3\n")
    for warmth in broker.warmths():
        got = consume(broker, topic)
        assert [(record["key"], record["payload"]) for record in got] == [("k1", "v1"), ("k2", None), (None, "v3")], (
            warmth
        )
        assert all(record["headers"] == ["a", "1", "a", "2", "b", ""] for record in got), warmth
        observe(f"records {warmth}", got)


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_acks(broker: Target, topic: str, acks: str) -> None:
    kcat(broker, "-P", "-t", topic, "-X", f"acks={acks}", "-X", "message.send.max.retries=0", stdin="one\ntwo\nthree\n")

    # Nobody says when an unacknowledged record has arrived.
    wait_for(lambda: len(consume(broker, topic)) >= 3, "three records")
    assert [record["payload"] for record in consume(broker, topic)] == ["one", "two", "three"]


def test_idempotent_producer(broker: Target, topic: str) -> None:
    lines = [str(i) for i in range(5000)]
    kcat(
        broker,
        "-P",
        "-t",
        topic,
        "-X",
        "enable.idempotence=true",
        "-X",
        "batch.num.messages=100",
        stdin="\n".join(lines),
    )
    for warmth in broker.warmths():
        assert [record["payload"] for record in consume(broker, topic)] == lines, warmth


def test_records_of_many_sizes_in_one_topic(broker: Target, topic: str) -> None:
    lines = ["x" * size for size in (1, 900_000, 2, 500_000, 16_384, 100_000, 3)]
    kcat(broker, "-P", "-t", topic, stdin="\n".join(lines))
    for warmth in broker.warmths():
        assert [record["payload"] for record in consume(broker, topic)] == lines, warmth
        # The first batch comes even where it is larger than what was asked for.
        tiny = [word for name in ("fetch.message", "fetch", "message") for word in ("-X", f"{name}.max.bytes=1000")]
        small = consume(broker, topic, *tiny)
        assert [record["payload"] for record in small] == lines, warmth


@pytest.mark.core
def test_offsets_by_number_end_and_time(broker: Target, topic: str) -> None:
    kcat(broker, "-P", "-t", topic, stdin="\n".join(str(i) for i in range(10)))
    out = kcat(broker, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J")
    times = [json.loads(line)["ts"] for line in out.lines]
    for warmth in broker.warmths():

        def from_offset(offset: str) -> list[str]:
            return kcat(broker, "-C", "-t", topic, "-o", offset, "-e", "-q").lines

        assert from_offset("4") == ["4", "5", "6", "7", "8", "9"], warmth
        assert from_offset("-3") == ["7", "8", "9"], warmth
        assert from_offset("end") == [], warmth
        assert from_offset(f"s@{times[0]}") == [str(i) for i in range(10)], warmth
        assert from_offset(f"s@{times[-1] + 10_000}") == [], warmth
        assert f"{topic} [0] offset 0" in kcat(broker, "-Q", "-t", f"{topic}:0:{times[0]}").out, warmth
        assert f"{topic} [0] offset 10" in kcat(broker, "-Q", "-t", f"{topic}:0:-1").out, warmth
        assert f"{topic} [0] offset 0" in kcat(broker, "-Q", "-t", f"{topic}:0:-2").out, warmth


def test_metadata(broker: Target, topic: str, observe: Callable) -> None:
    kcat(broker, "-P", "-t", topic, stdin="x\n")
    listed = json.loads(kcat(broker, "-L", "-J", "-t", topic).out)
    assert [node["name"] for node in listed["brokers"]] == [broker.bootstrap]
    assert listed["controllerid"] == listed["brokers"][0]["id"]
    assert [entry["topic"] for entry in listed["topics"]] == [topic]
    observe("topics", listed["topics"])


@pytest.mark.core
def test_group_resumes_where_it_committed(broker: Target, topic: str) -> None:
    def read(count: int) -> list[str]:
        return kcat(
            broker, "-G", f"group-{topic}", "-q", "-c", str(count), "-X", "auto.offset.reset=earliest", topic
        ).lines

    kcat(broker, "-P", "-t", topic, stdin="\n".join(str(i) for i in range(30)))
    assert read(10) == [str(i) for i in range(10)]
    for step, _warmth in enumerate(broker.warmths()):
        first = 10 + 10 * step
        assert read(10) == [str(i) for i in range(first, first + 10)]


@pytest.mark.parametrize("name", ["a b", "..", "x" * 250])
def test_invalid_names_are_refused(broker: Target, name: str, observe: Callable) -> None:
    outcome = kcat(broker, "-L", "-t", name, may_fail=True)
    assert "Invalid topic" in outcome.out + outcome.err
    outcome = kcat(broker, "-P", "-t", name, "-X", "message.timeout.ms=5000", stdin="x\n", may_fail=True)
    assert outcome.code != 0
    observe("produce", outcome.err.replace(broker.bootstrap, "BROKER").splitlines()[-1].split("terminating")[-1])


def test_a_record_that_is_too_large_is_refused(broker: Target, topic: str, observe: Callable) -> None:
    outcome = kcat(broker, "-P", "-t", topic, "-X", "message.max.bytes=9000000", stdin="x" * 2_000_000, may_fail=True)
    assert outcome.code != 0
    assert "Message size too large" in outcome.err
    observe("error", "Message size too large" in outcome.err)
