"""What a broker says that it speaks, before any client makes something of it."""

import struct
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from harness import apis, raw
from harness.target import Target
from harness.waiting import wait_for

# Kafka advertises Produce from version 0, which it does not serve: clients built on librdkafka look for it.
PRODUCE, FETCH, API_VERSIONS, DELETE_GROUPS = 0, 1, 18, 42
UNSUPPORTED_VERSION, INVALID_REQUEST, GROUP_ID_NOT_FOUND, REBOOTSTRAP_REQUIRED = 35, 42, 69, 129


def test_advertised_versions(broker: Target, observe: Callable) -> None:
    versions = apis.served(broker)
    assert versions[PRODUCE][0] == 0
    assert versions[API_VERSIONS] == (0, 5)
    assert versions[FETCH][0] == 4
    for key, (lowest, highest) in sorted(versions.items()):
        assert lowest <= highest
        observe(f"API {key}", f"{lowest}-{highest}")


def test_a_version_that_nobody_has_is_answered_with_those_of_api_versions(broker: Target) -> None:
    answer = raw.call(broker, API_VERSIONS, 99, b"\0\0\0", flexible=True)
    assert struct.unpack_from(">hi", answer) == (UNSUPPORTED_VERSION, 1)
    assert struct.unpack_from(">hhh", answer, 6) == (API_VERSIONS, 0, 5)


def test_a_client_that_means_another_cluster_or_node_is_told_to_start_anew(broker: Target) -> None:
    cluster = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=30).cluster_id
    assert apis.greet(broker, 5) == 0
    assert apis.greet(broker, 5, cluster, 1) == 0
    assert apis.greet(broker, 5, cluster, 2) == REBOOTSTRAP_REQUIRED
    assert apis.greet(broker, 5, "another", 1) == REBOOTSTRAP_REQUIRED
    # One without the other is no request.
    assert apis.greet(broker, 5, cluster) == INVALID_REQUEST
    assert apis.greet(broker, 5, None, 1) == INVALID_REQUEST
    assert apis.greet(broker, 5, cluster, 1, name="") == INVALID_REQUEST
    assert apis.greet(broker, 4) == 0


def test_groups_that_are_not_deleted_say_why(broker: Target) -> None:
    # A client's question makes the topic of the coordinators.
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    with pytest.raises(KafkaException):
        admin.delete_consumer_groups(["nobody"], request_timeout=30)["nobody"].result()
    wait_for(lambda: delete_nobody(broker, 2)[0] == GROUP_ID_NOT_FOUND, "the coordinator to be there")
    assert delete_nobody(broker, 2) == (GROUP_ID_NOT_FOUND, b"")
    error, message = delete_nobody(broker, 3)
    assert error == GROUP_ID_NOT_FOUND
    assert message == (b"the group does not exist" if broker.name == "esker" else b"")


def delete_nobody(broker: Target, version: int) -> tuple[int, bytes]:
    """Error code and message of the attempt to delete a group that does not exist."""
    answer = raw.call(broker, DELETE_GROUPS, version, b"\2" + raw.compact("nobody") + b"\0", flexible=True)
    # Tags of the header, throttle time, one group and its name.
    assert answer[5:13] == b"\2" + raw.compact("nobody"), answer
    (error,) = struct.unpack_from(">h", answer, 13)
    length = max(answer[15] - 1, 0) if version >= 3 else 0
    return error, answer[16 : 16 + length]


def test_an_array_longer_than_kafka_reads_ends_the_connection(broker: Target) -> None:
    assert apis.served(broker)
    count = 1_000_001
    try:
        answer = raw.call(broker, DELETE_GROUPS, 0, struct.pack(">i", count) + bytes(2 * count))
    except (AssertionError, ConnectionError):
        return
    raise AssertionError(f"answered with {answer[:20]!r}")
