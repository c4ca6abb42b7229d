"""Fetch requests that clients send rarely: for nothing, for what is unknown, with epochs of another log."""

import time
from typing import Any

import pytest

from harness.messages import Raw, ask, batch
from harness.target import Target
from harness.waiting import wait_for

UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE = 3, 1
LONG_MS = 4000
# A client that waits is given its time; one that does not is answered long before.
SOON_S = 2.0


def create(broker: Target, *topics: str) -> None:
    rows = [{"name": topic, "num_partitions": 1, "replication_factor": 1} for topic in topics]
    answer = ask(broker, "CreateTopics", 7, topics=rows, timeout_ms=10_000)
    assert [row["error_code"] for row in answer["topics"]] == [0] * len(topics)


def produce(broker: Target, topic: str, timeout_ms: int = 10_000, acks: int = -1) -> dict[str, Any]:
    parts = [{"name": topic, "partition_data": [{"index": 0, "records": batch(b"value")}]}]
    answer = ask(broker, "Produce", 9, transactional_id=None, acks=acks, timeout_ms=timeout_ms, topic_data=parts)
    return answer["responses"][0]["partition_responses"][0]


def fetch(connection: Raw, parts: list[tuple[str, int, int]], **fields: Any) -> tuple[dict[str, Any], float]:
    """The answer for (topic, offset, last fetched epoch) of each part, and the seconds it took."""
    topics = [
        {
            "topic": topic,
            "partitions": [{"fetch_offset": offset, "partition_max_bytes": 1 << 20, "last_fetched_epoch": epoch}],
        }
        for topic, offset, epoch in parts
    ]
    defaults = {"max_wait_ms": LONG_MS, "min_bytes": 1, "max_bytes": 1 << 20, "session_id": 0, "session_epoch": -1}
    began = time.monotonic()
    answer = connection.ask("Fetch", 12, **defaults | {"topics": topics, "forgotten_topics_data": []} | fields)
    return answer, time.monotonic() - began


def codes(answer: dict[str, Any]) -> dict[str, int]:
    return {row["topic"]: part["error_code"] for row in answer["responses"] for part in row["partitions"]}


def test_a_fetch_for_nothing_is_answered_at_once(broker: Target) -> None:
    with Raw(broker) as connection:
        answer, took = fetch(connection, [])
        assert (answer["error_code"], answer["responses"]) == (0, [])
        assert took < SOON_S


def test_the_end_of_a_session_is_answered_at_once(broker: Target, topic: str) -> None:
    # What the Java consumer sends when it closes, and waits for.
    create(broker, topic)
    with Raw(broker) as connection:
        begun, _ = fetch(connection, [(topic, 0, -1)], session_epoch=0, max_wait_ms=0)
        answer, took = fetch(connection, [], session_id=begun["session_id"], session_epoch=-1)
        assert (answer["error_code"], answer["session_id"]) == (0, 0)
        assert took < SOON_S


def test_a_session_that_loses_its_last_partition_ends(broker: Target, topic: str) -> None:
    create(broker, topic)
    with Raw(broker) as connection:
        begun, _ = fetch(connection, [(topic, 0, -1)], session_epoch=0, max_wait_ms=0)
        forgotten = [{"topic": topic, "partitions": [0]}]
        session = begun["session_id"]
        answer, took = fetch(connection, [], session_id=session, session_epoch=1, forgotten_topics_data=forgotten)
        assert (answer["error_code"], answer["session_id"], answer["responses"]) == (0, 0, [])
        assert took < SOON_S
        gone, _ = fetch(connection, [], session_id=session, session_epoch=2)
        assert gone["error_code"] == 70  # FETCH_SESSION_ID_NOT_FOUND


def test_an_unknown_topic_does_not_end_the_wait_for_the_others(broker: Target, topic: str) -> None:
    create(broker, topic)
    with Raw(broker) as connection:
        answer, took = fetch(connection, [(topic, 0, -1), ("nobody-made-this", 0, -1)], max_wait_ms=1000)
        assert codes(answer) == {topic: 0, "nobody-made-this": UNKNOWN_TOPIC_OR_PARTITION}
        assert took >= 0.9


def test_nothing_but_unknown_topics_is_answered_at_once(broker: Target) -> None:
    with Raw(broker) as connection:
        answer, took = fetch(connection, [("nobody-made-this", 0, -1)])
        assert codes(answer) == {"nobody-made-this": UNKNOWN_TOPIC_OR_PARTITION}
        assert took < SOON_S


def test_what_is_known_now_ends_the_wait(broker: Target, topic: str) -> None:
    idle, written = f"{topic}-idle", f"{topic}-written"
    create(broker, idle, written)
    wait_for(lambda: produce(broker, written)["error_code"] == 0, "the topic to be led")
    described = ask(broker, "Metadata", 9, topics=[{"name": written}], allow_auto_topic_creation=False)
    epoch = described["topics"][0]["partitions"][0]["leader_epoch"]
    with Raw(broker) as connection:
        answer, took = fetch(connection, [(idle, 0, -1), (written, 99, -1)])
        assert codes(answer) == {idle: 0, written: OFFSET_OUT_OF_RANGE}
        assert took < SOON_S
        # An epoch that nobody led in: there is no place where the logs part.
        answer, took = fetch(connection, [(idle, 0, -1), (written, 1, epoch + 9)])
        assert codes(answer) == {idle: 0, written: OFFSET_OUT_OF_RANGE}
        assert took < SOON_S
        # Behind the end of an epoch that is known: told at once where the logs part.
        answer, took = fetch(connection, [(idle, 0, -1), (written, 9, epoch)])
        parted = next(row for row in answer["responses"] if row["topic"] == written)["partitions"][0]
        assert parted["error_code"] == 0
        assert parted["diverging_epoch"]["end_offset"] == 1
        assert took < SOON_S


@pytest.mark.parametrize("acks", [1, -1])
@pytest.mark.parametrize("timeout_ms", [0, -1, 1])
def test_what_is_stored_is_not_timed_out(broker: Target, topic: str, timeout_ms: int, acks: int) -> None:
    create(broker, topic)
    wait_for(lambda: produce(broker, topic)["error_code"] == 0, "the topic to be led")
    for offset in range(1, 20):
        told = produce(broker, topic, timeout_ms, acks)
        assert (told["error_code"], told["base_offset"]) == (0, offset)
