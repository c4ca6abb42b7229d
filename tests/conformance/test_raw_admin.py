"""Administration by requests that say nothing, say null, or say a thing twice."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.messages import ask, batch
from harness.target import Target
from harness.waiting import wait_for

NONE, INVALID_CONFIG, INVALID_REQUEST = 0, 40, 42
TOPIC, BROKER, GROUP = 2, 4, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
UNKNOWN_TOPIC, INVALID_TOPIC, TOPIC_EXISTS, INVALID_ASSIGNMENT, POLICY_VIOLATION = 3, 17, 36, 39, 44
NOT_LEADER, UNKNOWN_ID = 6, 100
NOBODYS_ID = uuid.UUID(int=77)


def create(broker: Target, topic: str, dry: bool = False, version: int = 7, **fields: Any) -> dict[str, Any]:
    row = {"name": topic, "num_partitions": 1, "replication_factor": 1} | fields
    answer = ask(broker, "CreateTopics", version, topics=[row], timeout_ms=10_000, validate_only=dry)
    return answer["topics"][0]


def configs(*pairs: tuple[str, str | None]) -> list[dict[str, str | None]]:
    return [{"name": name, "value": value} for name, value in pairs]


def change(broker: Target, kind: int, resource: str, *changes: tuple[str, int, str | None]) -> dict[str, Any]:
    rows = [{"name": name, "config_operation": operation, "value": value} for name, operation, value in changes]
    resources = [{"resource_type": kind, "resource_name": resource, "configs": rows}]
    return ask(broker, "IncrementalAlterConfigs", 1, resources=resources, validate_only=False)["responses"][0]


def replace(broker: Target, kind: int, resource: str, *pairs: tuple[str, str | None]) -> dict[str, Any]:
    resources = [{"resource_type": kind, "resource_name": resource, "configs": configs(*pairs)}]
    return ask(broker, "AlterConfigs", 2, resources=resources, validate_only=False)["responses"][0]


def describe(
    broker: Target, kind: int, resource: str, keys: list[str] | None, version: int = 4, **fields: Any
) -> list[dict[str, Any]]:
    resources = [{"resource_type": kind, "resource_name": resource, "configuration_keys": keys}]
    result = ask(broker, "DescribeConfigs", version, resources=resources, **fields)["results"][0]
    assert result["error_code"] == NONE, result
    return result["configs"]


def value(broker: Target, topic: str, name: str) -> str:
    return describe(broker, TOPIC, topic, [name])[0]["value"]


def once_led(code: Callable[[], int]) -> int:
    """What is told when a new topic has a leader everywhere."""
    return wait_for(lambda: [told for told in [code()] if told not in (UNKNOWN_TOPIC, NOT_LEADER)], "a leader")[0]


@pytest.fixture
def made(broker: Target, topic: str) -> Iterator[str]:
    """A topic that exists."""
    topic = topic[:200]
    assert create(broker, topic, configs=configs(("retention.ms", "777")))["error_code"] == NONE
    return topic


@pytest.mark.parametrize("dry", [False, True])
def test_no_setting_of_a_new_topic_is_null(broker: Target, topic: str, dry: bool) -> None:
    told = create(broker, topic, dry, configs=configs(("retention.ms", None)))
    assert told["error_code"] == INVALID_CONFIG
    assert told["error_message"] == "Null value not supported for topic configs: retention.ms"


@pytest.mark.parametrize(
    ("kind", "name"), [(TOPIC, "retention.ms"), (BROKER, "message.max.bytes"), (GROUP, "consumer.session.timeout.ms")]
)
def test_null_is_a_value_for_nothing_but_delete(broker: Target, made: str, kind: int, name: str) -> None:
    resource = {TOPIC: made, BROKER: "1", GROUP: "some-group"}[kind]
    for operation in (SET, APPEND, SUBTRACT):
        told = change(broker, kind, resource, (name, operation, None))
        assert (told["error_code"], told["error_message"]) == (INVALID_REQUEST, f"Null value not supported for : {name}")
    told = replace(broker, kind, resource, (name, None))
    assert (told["error_code"], told["error_message"]) == (INVALID_REQUEST, f"Null value not supported for : {name}")
    assert value(broker, made, "retention.ms") == "777"
    assert change(broker, kind, resource, (name, DELETE, None))["error_code"] == NONE


def test_only_lists_grow_and_shrink(broker: Target, made: str) -> None:
    for operation, word in ((APPEND, "APPEND"), (SUBTRACT, "SUBTRACT")):
        told = change(broker, TOPIC, made, ("retention.ms", operation, "1"))
        assert told["error_code"] == INVALID_CONFIG
        assert told["error_message"] == f"Can't {word} to key retention.ms because its type is not LIST."
        assert change(broker, BROKER, "1", ("message.max.bytes", operation, "1"))["error_code"] == INVALID_CONFIG
    assert value(broker, made, "retention.ms") == "777"
    assert change(broker, TOPIC, made, ("cleanup.policy", APPEND, ""))["error_code"] == INVALID_CONFIG
    assert change(broker, TOPIC, made, ("cleanup.policy", APPEND, "compact"))["error_code"] == NONE
    assert value(broker, made, "cleanup.policy") == "delete,compact"
    assert change(broker, TOPIC, made, ("cleanup.policy", APPEND, "compact"))["error_code"] == NONE
    assert change(broker, TOPIC, made, ("cleanup.policy", SUBTRACT, "delete"))["error_code"] == NONE
    assert value(broker, made, "cleanup.policy") == "compact"


def test_what_is_named_twice_is_not_changed(broker: Target, made: str) -> None:
    told = change(broker, TOPIC, made, ("retention.ms", SET, "1"), ("retention.ms", SET, "2"))
    assert (told["error_code"], told["error_message"]) == (INVALID_REQUEST, "Error due to duplicate config keys")
    told = replace(broker, TOPIC, made, ("retention.ms", "1"), ("retention.ms", "2"))
    assert (told["error_code"], told["error_message"]) == (INVALID_REQUEST, "Error due to duplicate config keys")
    rows = [{"name": "retention.ms", "config_operation": SET, "value": "1"}]
    resource = {"resource_type": TOPIC, "resource_name": made, "configs": rows}
    answer = ask(broker, "IncrementalAlterConfigs", 1, resources=[resource, resource], validate_only=False)
    for told in answer["responses"]:
        assert (told["error_code"], told["error_message"]) == (
            INVALID_REQUEST,
            "Each resource must appear at most once.",
        )
    assert value(broker, made, "retention.ms") == "777"


def test_a_value_that_is_none_is_refused_by_whoever_judges_it(broker: Target, made: str) -> None:
    assert change(broker, TOPIC, made, ("retention.ms", SET, ""))["error_code"] == INVALID_CONFIG
    assert change(broker, BROKER, "1", ("message.max.bytes", SET, ""))["error_code"] == INVALID_REQUEST
    told = change(broker, TOPIC, "", ("retention.ms", SET, "1"))
    assert (told["error_code"], told["error_message"]) == (INVALID_REQUEST, "Default topic resources are not allowed.")
    told = change(broker, GROUP, "", ("consumer.session.timeout.ms", SET, "45000"))
    assert (told["error_code"], told["error_message"]) == (INVALID_REQUEST, "Default group resources are not allowed.")


@pytest.mark.parametrize("version", [1, 4])
def test_no_names_of_settings_mean_all(broker: Target, made: str, version: int) -> None:
    all_of_them = describe(broker, TOPIC, made, None, version)
    assert len(all_of_them) > 30
    assert describe(broker, TOPIC, made, [], version) == all_of_them
    assert [row["name"] for row in describe(broker, TOPIC, made, ["retention.ms", "no-such-setting"])] == ["retention.ms"]
    assert len(describe(broker, BROKER, "1", [], version)) > 300


def test_a_created_topic_is_described_as_it_is(broker: Target, topic: str) -> None:
    for dry in (True, False):
        told = create(broker, topic, dry, configs=configs(("retention.ms", "777")))
        assert told["error_code"] == NONE
        rows = {row["name"]: (row["value"], row["config_source"]) for row in told["configs"]}
        assert list(rows) == sorted(rows)
        assert rows["retention.ms"] == ("777", 1)  # DYNAMIC_TOPIC_CONFIG
        assert rows["cleanup.policy"] == ("delete", 5)  # DEFAULT_CONFIG
    described = describe(broker, TOPIC, topic, None)
    assert rows == {row["name"]: (row["value"], row["config_source"]) for row in described}


def test_a_dry_run_refuses_what_creation_refuses(broker: Target, topic: str) -> None:
    topic = topic.replace("_", "-")
    assert create(broker, f"{topic}.x")["error_code"] == NONE
    for dry in (True, False):
        told = create(broker, f"{topic}_x", dry)
        assert told["error_code"] == INVALID_TOPIC
        assert told["error_message"] == f"Topic '{topic}_x' collides with existing topic: {topic}.x"
        assert create(broker, f"{topic}.x", dry)["error_code"] == TOPIC_EXISTS
        assert create(broker, "__cluster_metadata", dry)["error_code"] == INVALID_REQUEST


@pytest.mark.parametrize(
    ("brokers", "what"),
    [
        ([[1, 1]], "the broker 1 more than once."),
        ([[]], "an empty replica list."),
        ([[7]], "broker 7, but no such broker is registered."),
    ],
)
def test_assignments_name_registered_brokers_once(
    broker: Target, made: str, brokers: list[list[int]], what: str
) -> None:
    refused = (INVALID_ASSIGNMENT, f"The manual partition assignment includes {what}")
    assignments = [{"partition_index": at, "broker_ids": ids} for at, ids in enumerate(brokers)]
    told = create(broker, f"{made}-new", num_partitions=-1, replication_factor=-1, assignments=assignments)
    assert (told["error_code"], told["error_message"]) == refused
    for dry in (True, False):
        row = {"name": made, "count": 2, "assignments": [{"broker_ids": ids} for ids in brokers]}
        answer = ask(broker, "CreatePartitions", 3, topics=[row], timeout_ms=10_000, validate_only=dry)
        told = answer["results"][0]
        assert (told["error_code"], told["error_message"]) == refused


def test_deletion_takes_one_name_or_id_for_each_topic(broker: Target, made: str) -> None:
    nil = uuid.UUID(int=0)
    described = ask(broker, "Metadata", 12, topics=[{"name": made, "topic_id": nil}])
    topic_id = uuid.UUID(str(described["topics"][0]["topic_id"]))

    def delete(*wanted: tuple[str | None, uuid.UUID]) -> list[tuple[int, str]]:
        rows = [{"name": name, "topic_id": known} for name, known in wanted]
        answer = ask(broker, "DeleteTopics", 6, topics=rows, timeout_ms=10_000)
        return [(row["error_code"], row["error_message"]) for row in answer["responses"]]

    assert delete((made, nil), (made, nil)) == [(INVALID_REQUEST, "Duplicate topic name.")]
    assert delete((None, topic_id), (None, topic_id)) == [(INVALID_REQUEST, "Duplicate topic id.")]
    both = (INVALID_REQUEST, "The provided topic name maps to an ID that was already supplied.")
    assert delete((made, nil), (None, topic_id)) == [both]
    assert delete((made, topic_id)) == [(INVALID_REQUEST, "You may not specify both topic name and topic id.")]
    assert delete((None, nil)) == [(INVALID_REQUEST, "Neither topic name nor id were specified.")]
    assert {code for code, _ in delete((None, NOBODYS_ID), ("no-such-topic", nil))} == {UNKNOWN_ID, UNKNOWN_TOPIC}
    twice = ask(broker, "DeleteTopics", 5, topic_names=[made, made], timeout_ms=10_000)["responses"]
    assert [(row["error_code"], row["error_message"]) for row in twice] == [(INVALID_REQUEST, "Duplicate topic name.")]
    # Nothing of this deleted it.
    assert value(broker, made, "retention.ms") == "777"
    assert delete((None, topic_id)) == [(NONE, None)]


@pytest.mark.parametrize(
    ("policy", "code"), [("compact", POLICY_VIOLATION), ("compact,delete", NONE), ("delete", NONE)]
)
def test_records_are_deleted_where_the_policy_says_so(broker: Target, topic: str, policy: str, code: int) -> None:
    assert create(broker, topic, configs=configs(("cleanup.policy", policy)))["error_code"] == NONE
    for offset in (0, -1):
        rows = [{"name": topic, "partitions": [{"partition_index": 0, "offset": offset}]}]

        def delete(rows: list[dict[str, Any]] = rows) -> int:
            answer = ask(broker, "DeleteRecords", 2, topics=rows, timeout_ms=10_000)
            return answer["topics"][0]["partitions"][0]["error_code"]

        assert once_led(delete) == code


def test_two_copies_are_not_asked_of_a_topic_that_has_one(broker: Target, topic: str) -> None:
    assert create(broker, topic, configs=configs(("min.insync.replicas", "2")))["error_code"] == NONE
    parts = [{"name": topic, "partition_data": [{"index": 0, "records": batch(b"value")}]}]

    def produce() -> int:
        answer = ask(broker, "Produce", 9, acks=-1, timeout_ms=10_000, topic_data=parts)
        return answer["responses"][0]["partition_responses"][0]["error_code"]

    assert once_led(produce) == NONE


def test_what_all_brokers_agree_on_is_not_set_for_one(broker: Target) -> None:
    told = change(broker, BROKER, "1", ("min.insync.replicas", SET, "2"))
    assert told["error_code"] == INVALID_CONFIG


def test_what_is_set_for_all_is_told_beside_what_one_sets(broker: Target) -> None:
    name = "message.max.bytes"
    assert change(broker, BROKER, "1", (name, SET, "2000000"))["error_code"] == NONE
    assert change(broker, BROKER, "", (name, SET, "3000000"))["error_code"] == NONE

    def told(resource: str) -> list[tuple[str, int, list[tuple[str, int]]]]:
        rows = describe(broker, BROKER, resource, [name], include_synonyms=True)
        return [
            (row["value"], row["config_source"], [(s["value"], s["source"]) for s in row["synonyms"]]) for row in rows
        ]

    own, common = ("2000000", 2), ("3000000", 3)
    wait_for(lambda: told("") == [(*common, [common])], "the setting for all brokers")
    wait_for(lambda: told("1") == [(*own, [own, common, ("1048588", 5)])], "the setting of one broker")
    for resource in ("", "1"):
        assert change(broker, BROKER, resource, (name, DELETE, None))["error_code"] == NONE


def test_a_topic_that_nobody_has_is_told_without_a_name(broker: Target) -> None:
    wanted = [{"name": None, "topic_id": NOBODYS_ID}]
    told = ask(broker, "Metadata", 12, topics=wanted, allow_auto_topic_creation=False)["topics"][0]
    assert (told["error_code"], told["name"]) == (UNKNOWN_ID, None)
    wanted = [{"name": "", "topic_id": NOBODYS_ID}]
    told = ask(broker, "Metadata", 10, topics=wanted, allow_auto_topic_creation=False)["topics"][0]
    assert told["error_code"] == INVALID_REQUEST


def test_more_than_a_request_may_create_is_refused(broker: Target, topic: str) -> None:
    told = create(broker, topic, dry=True, num_partitions=1_000_000)
    assert told["error_code"] == POLICY_VIOLATION
    rows = [{"name": f"t{number}", "num_partitions": 1, "replication_factor": 1} for number in range(10_001)]
    answer = ask(broker, "CreateTopics", 7, topics=rows, timeout_ms=10_000, validate_only=True)
    assert {row["error_code"] for row in answer["topics"]} == {POLICY_VIOLATION}
