"""The log of the groups: it is written anew when most of it is old, and says the same; and it can be deleted."""

import uuid
from typing import Any

import pytest

from harness.esker import Esker
from harness.messages import ask
from harness.waiting import wait_for

NONE, OFFSETS_TOPIC = 0, "__consumer_offsets"
PARTITIONS, COMMITS = 500, 60
EARLIEST, LATEST = -2, -1


@pytest.fixture(autouse=True)
def only_esker(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--target") != "esker":
        pytest.skip("Apache Kafka cleans its log at times of its own")


def create(broker: Esker, topic: str) -> uuid.UUID:
    rows = [{"name": topic, "num_partitions": PARTITIONS, "replication_factor": 1}]
    made = ask(broker, "CreateTopics", 7, topics=rows, timeout_ms=10_000)["topics"][0]
    assert made["error_code"] == NONE
    return uuid.UUID(str(made["topic_id"]))


def commit(broker: Esker, group: str, topic: str, offset: int) -> set[int]:
    part = {"committed_offset": offset, "committed_leader_epoch": -1, "committed_metadata": ""}
    parts = [{"partition_index": index} | part for index in range(PARTITIONS)]
    fields = {"generation_id_or_member_epoch": -1, "member_id": "", "group_instance_id": None}
    answer = ask(broker, "OffsetCommit", 9, group_id=group, topics=[{"name": topic, "partitions": parts}], **fields)
    return {row["error_code"] for row in answer["topics"][0]["partitions"]}


def committed(broker: Esker, group: str) -> dict[int, int] | None:
    answer = ask(broker, "OffsetFetch", 7, group_id=group, topics=None, require_stable=False)
    if answer["error_code"] != NONE:
        return None
    parts = [part for topic in answer["topics"] for part in topic["partitions"]]
    return {part["partition_index"]: part["committed_offset"] for part in parts}


def furthest(broker: Esker, timestamp: int) -> int:
    """The largest offset of this kind of all partitions of the groups' topic."""
    described = ask(broker, "Metadata", 9, topics=[{"name": OFFSETS_TOPIC}], allow_auto_topic_creation=False)
    count = len(described["topics"][0]["partitions"])
    part = {"current_leader_epoch": -1, "timestamp": timestamp}
    topics = [{"name": OFFSETS_TOPIC, "partitions": [{"partition_index": index} | part for index in range(count)]}]
    answer = ask(broker, "ListOffsets", 7, replica_id=-1, isolation_level=0, topics=topics)
    return max(row["offset"] for row in answer["topics"][0]["partitions"])


def ready(broker: Esker, group: str) -> dict[str, Any] | None:
    found = ask(broker, "FindCoordinator", 3, key=group, key_type=0)
    return found if found["error_code"] == NONE else None


def test_the_log_of_the_groups_stays_short_and_says_the_same(broker: Esker, topic: str) -> None:
    create(broker, topic)
    wait_for(lambda: ready(broker, "idle"), "a coordinator")
    idle, busy = f"{topic}-idle", f"{topic}-busy"
    wait_for(lambda: commit(broker, idle, topic, 3) == {NONE}, "a commit")
    for offset in range(COMMITS):
        assert commit(broker, busy, topic, offset) == {NONE}
    written = COMMITS * PARTITIONS
    assert furthest(broker, LATEST) >= written
    # Of what was written all is old but one commit of each group.
    wait_for(lambda: furthest(broker, EARLIEST) >= written // 3, "the log of the groups to be written anew")
    for again in (broker.crash, broker.restart, broker.make_cold):
        again()
        told = wait_for(lambda: committed(broker, busy), "the offsets of a group")
        assert told == dict.fromkeys(range(PARTITIONS), COMMITS - 1)
        assert committed(broker, idle) == dict.fromkeys(range(PARTITIONS), 3)


def test_groups_begin_anew_when_their_topic_is_deleted(broker: Esker, topic: str) -> None:
    create(broker, topic)
    wait_for(lambda: ready(broker, topic), "a coordinator")
    wait_for(lambda: commit(broker, topic, topic, 3) == {NONE}, "a commit")
    answer = ask(broker, "DeleteTopics", 5, topic_names=[OFFSETS_TOPIC], timeout_ms=10_000)
    assert [row["error_code"] for row in answer["responses"]] == [NONE]
    wait_for(lambda: ready(broker, topic), "a coordinator")
    assert wait_for(lambda: [found for found in [committed(broker, topic)] if found is not None], "an answer") == [{}]
    wait_for(lambda: commit(broker, topic, topic, 5) == {NONE}, "a commit")
    assert committed(broker, topic) == dict.fromkeys(range(PARTITIONS), 5)
