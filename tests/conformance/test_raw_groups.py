"""Groups, offsets and metadata by requests that leave things out or say them twice."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness.messages import ask
from harness.target import Target
from harness.waiting import wait_for

NONE, UNKNOWN_TOPIC, INCONSISTENT_PROTOCOL, UNKNOWN_MEMBER, INVALID_REQUEST = 0, 3, 23, 25, 42
UNKNOWN_SERVER_ERROR, GROUP_NOT_FOUND, UNKNOWN_TOPIC_ID = -1, 69, 100
NIL, NOBODYS_ID = uuid.UUID(int=0), uuid.UUID(int=77)


@pytest.fixture
def topic_id(broker: Target, topic: str) -> Iterator[uuid.UUID]:
    """The id of the test's topic, which is made and has a leader."""
    rows = [{"name": topic, "num_partitions": 1, "replication_factor": 1}]
    assert ask(broker, "CreateTopics", 7, topics=rows, timeout_ms=10_000)["topics"][0]["error_code"] == NONE

    def described() -> dict[str, Any] | None:
        wanted = [{"topic_id": NIL, "name": topic}]
        found = ask(broker, "Metadata", 12, topics=wanted, allow_auto_topic_creation=False)["topics"][0]
        return found if found["error_code"] == NONE else None

    return uuid.UUID(str(wait_for(described, "the topic")["topic_id"]))


def commit(broker: Target, group: str, topic_id: uuid.UUID) -> int:
    parts = [{"partition_index": 0, "committed_offset": 5, "committed_leader_epoch": -1, "committed_metadata": None}]
    topics = [{"topic_id": topic_id, "partitions": parts}]
    fields = {"group_id": group, "generation_id_or_member_epoch": -1, "member_id": "", "group_instance_id": None}
    answer = ask(broker, "OffsetCommit", 10, topics=topics, **fields)
    return answer["topics"][0]["partitions"][0]["error_code"]


@pytest.fixture
def groups(broker: Target, topic: str, topic_id: uuid.UUID) -> list[str]:
    """Two groups that have committed 5."""
    made = [f"{topic}-1", f"{topic}-2"]
    ask(broker, "FindCoordinator", 4, key_type=0, coordinator_keys=made)
    for group in made:
        wait_for(lambda group=group: commit(broker, group, topic_id) == NONE, "a commit")
    return made


def test_offsets_of_several_groups_by_topic_id(broker: Target, groups: list[str], topic_id: uuid.UUID) -> None:
    def fetch(topics: list[dict[str, Any]] | None) -> list[tuple[str, list[tuple[str, int, int]]]]:
        rows = [{"group_id": group, "member_id": None, "member_epoch": -1, "topics": topics} for group in groups]
        answer = ask(broker, "OffsetFetch", 10, groups=rows, require_stable=False)
        told = []
        for group in answer["groups"]:
            assert group["error_code"] == NONE
            parts = [(str(row["topic_id"]), part) for row in group["topics"] for part in row["partitions"]]
            told.append((group["group_id"], [(id, p["error_code"], p["committed_offset"]) for id, p in parts]))
        return told

    known = [(str(topic_id), NONE, 5)]
    asked = [{"topic_id": topic_id, "partition_indexes": [0]}]
    assert fetch(asked) == [(group, known) for group in groups]
    assert fetch(None) == [(group, known) for group in groups]
    assert fetch([]) == [(group, []) for group in groups]
    unknown = [{"topic_id": NOBODYS_ID, "partition_indexes": [0]}]
    told = [(str(NOBODYS_ID), UNKNOWN_TOPIC_ID, -1)]
    assert fetch([*asked, *unknown]) == [(group, known + told) for group in groups]


def test_a_group_that_is_named_twice_is_deleted_once(broker: Target, groups: list[str]) -> None:
    answer = ask(broker, "DeleteGroups", 2, groups_names=[groups[0], groups[0]])
    assert [row["error_code"] for row in answer["results"]] == [NONE]
    answer = ask(broker, "DeleteGroups", 2, groups_names=[groups[0]])
    assert [row["error_code"] for row in answer["results"]] == [GROUP_NOT_FOUND]


def test_a_sync_says_which_protocol_it_means(broker: Target, groups: list[str]) -> None:
    def sync(version: int, kind: str | None, name: str | None) -> int:
        fields = {"group_id": groups[0], "generation_id": 1, "member_id": "nobody", "group_instance_id": None}
        named = {"protocol_type": kind, "protocol_name": name} if version >= 5 else {}
        return ask(broker, "SyncGroup", version, assignments=[], **fields, **named)["error_code"]

    assert sync(5, None, None) == INCONSISTENT_PROTOCOL
    assert sync(5, "consumer", None) == INCONSISTENT_PROTOCOL
    assert sync(5, None, "range") == INCONSISTENT_PROTOCOL
    assert sync(5, "consumer", "range") == UNKNOWN_MEMBER
    assert sync(4, None, None) == UNKNOWN_MEMBER


def test_a_producer_that_has_an_id_has_an_epoch(broker: Target) -> None:
    def init(producer_id: int, epoch: int) -> int:
        fields = {"transactional_id": None, "transaction_timeout_ms": 1000}
        answer = ask(broker, "InitProducerId", 4, producer_id=producer_id, producer_epoch=epoch, **fields)
        return answer["error_code"]

    assert init(5, -1) == INVALID_REQUEST
    assert init(-1, 5) == INVALID_REQUEST
    wait_for(lambda: init(-1, -1) == NONE, "an id")


def test_no_epoch_has_no_end(broker: Target, topic: str, topic_id: uuid.UUID) -> None:
    parts = [{"partition": 0, "current_leader_epoch": -1, "leader_epoch": epoch} for epoch in (-1, 99)]
    topics = [{"topic": topic, "partitions": parts}]

    def told() -> list[dict[str, Any]]:
        return ask(broker, "OffsetForLeaderEpoch", 4, replica_id=-1, topics=topics)["topics"][0]["partitions"]

    wait_for(lambda: told()[0]["error_code"] == NONE, "a leader")
    assert [(row["leader_epoch"], row["end_offset"]) for row in told()] == [(-1, -1), (-1, -1)]


def test_a_partition_is_asked_for_once(broker: Target, topic: str, topic_id: uuid.UUID) -> None:
    part = {"partition_index": 0, "current_leader_epoch": -1, "timestamp": -1}
    topics = [{"name": topic, "partitions": [part, part]}]
    answer = ask(broker, "ListOffsets", 7, replica_id=-1, isolation_level=0, topics=topics)
    assert [row["error_code"] for row in answer["topics"][0]["partitions"]] == [INVALID_REQUEST]


def test_an_id_says_which_topic_is_meant(broker: Target, topic: str, topic_id: uuid.UUID) -> None:
    for name in (None, topic, "some-other-name"):
        wanted = [{"topic_id": topic_id, "name": name}]
        told = ask(broker, "Metadata", 12, topics=wanted, allow_auto_topic_creation=False)["topics"][0]
        assert (told["error_code"], told["name"]) == (NONE, topic)


def test_a_cursor_stands_at_what_is_asked_for(broker: Target, topic: str, topic_id: uuid.UUID) -> None:
    def codes(cursor: tuple[str, int] | None) -> list[int]:
        at = {"topic_name": cursor[0], "partition_index": cursor[1]} if cursor else None
        fields = {"topics": [{"name": topic}], "response_partition_limit": 10, "cursor": at}
        return [row["error_code"] for row in ask(broker, "DescribeTopicPartitions", 0, **fields)["topics"]]

    assert codes(None) == codes((topic, 0)) == [NONE]
    for cursor in ((topic, -1), ("a", 0), ("zzz", 0)):
        assert codes(cursor) == [INVALID_REQUEST]


def test_log_dirs_leave_out_topics_of_which_no_partition_is_asked(broker: Target, topic: str, topic_id: uuid.UUID) -> None:
    def told(partitions: list[int]) -> list[str]:
        answer = ask(broker, "DescribeLogDirs", 4, topics=[{"topic": topic, "partitions": partitions}])
        return [row["name"] for row in answer["results"][0]["topics"]]

    wait_for(lambda: told([0]) == [topic], "the topic's log")
    assert told([]) == told([9]) == []


def test_a_group_that_is_too_large_for_the_log_is_told_so(broker: Target, groups: list[str]) -> None:
    # Whoever is told that the coordinator is not available tries for ever.
    group = f"{groups[0]}-large"
    protocols = [{"name": "range", "metadata": b""}]
    fields = {"session_timeout_ms": 10_000, "rebalance_timeout_ms": 10_000, "member_id": "", "protocol_type": "consumer"}

    def join() -> dict[str, Any] | None:
        answer = ask(broker, "JoinGroup", 3, group_id=group, protocols=protocols, **fields)
        return answer if answer["error_code"] == NONE else None

    joined = wait_for(join, "a place in the group")
    member, generation = joined["member_id"], joined["generation_id"]
    assignments = [{"member_id": member, "assignment": bytes(40 << 20)}]
    told = ask(broker, "SyncGroup", 3, group_id=group, generation_id=generation, member_id=member, assignments=assignments)
    assert told["error_code"] == UNKNOWN_SERVER_ERROR
