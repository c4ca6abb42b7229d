"""Settings say what is so: what is taken is in force, what has no effect is told or refused by name."""

import json
import socket
import struct
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from harness import raw
from harness.child import Child
from harness.esker import find_program
from harness.ports import free_port
from harness.target import Target
from harness.waiting import wait_for

API_VERSIONS, DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS = 18, 32, 44
TOPIC, BROKER, GROUP = 2, 4, 32
SET, DELETE = 0, 1
INVALID_CONFIG, INVALID_REQUEST = 40, 42


@pytest.fixture(autouse=True)
def only_esker(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--target") != "esker":
        pytest.skip("these are Esker's own answers")


def admin(broker: Target) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap})


def alter(connection: socket.socket, kind: int, owner: str, name: str, value: str | None) -> tuple[int, str]:
    """Sets a setting, or takes it back; error code and message. (Clients do not let through "all brokers".)"""
    config = raw.compact(name) + bytes([SET if value is not None else DELETE]) + raw.compact(value) + b"\0"
    resource = bytes([kind]) + raw.compact(owner) + b"\2" + config + b"\0"
    header = struct.pack(">hhih", INCREMENTAL_ALTER_CONFIGS, 1, 7, -1) + b"\0"
    raw.send(connection, header + b"\2" + resource + b"\0\0")
    answer = raw.receive(connection)
    # Correlation id, tags, throttle time, one resource.
    (error,) = struct.unpack_from(">h", answer, 10)
    return error, answer[12:].decode(errors="replace")


def is_served(connection: socket.socket) -> bool:
    """Whether the broker answers on a connection, or has closed it."""
    connection.settimeout(10)
    try:
        raw.send(connection, struct.pack(">hhih", API_VERSIONS, 0, 1, -1))
        return bool(raw.receive(connection))
    except (AssertionError, ConnectionError):
        return False


def test_max_connections_is_in_force_at_once(broker: Target) -> None:
    with socket.create_connection(raw.address(broker)) as first:
        assert alter(first, BROKER, "", "max.connections", "1")[0] == 0
        with socket.create_connection(raw.address(broker)) as more:
            assert not is_served(more)
        # One that is open stays.
        assert alter(first, BROKER, "", "max.connections", "1000")[0] == 0
        with socket.create_connection(raw.address(broker)) as more:
            assert is_served(more)
        assert alter(first, BROKER, "", "max.connections", None)[0] == 0


@pytest.mark.parametrize(
    ("kind", "owner", "name", "value", "reason"),
    [
        (BROKER, "", "producer.id.expiration.ms", "5000", "restart it"),
        (BROKER, "1", "listeners", "PLAINTEXT://:1", "restart it"),
        (BROKER, "1", "listener.security.protocol.map", "A:PLAINTEXT", "restart it"),
        (BROKER, "", "max.connections.per.ip", "5", "only `max.connections` limits"),
        (BROKER, "", "log.cleaner.threads", "4", "not served yet"),
        (BROKER, "", "compression.type", "zstd", "as the producer compressed"),
        (BROKER, "1", "listener.name.clients.max.connections", "5", "no settings of its own"),
        (GROUP, "some", "consumer.session.timeout.ms", "50000", "is served yet"),
        (TOPIC, "settings", "compression.type", "gzip", "as the producer compressed"),
    ],
)
def test_what_would_not_be_in_force_is_refused_by_name(
    broker: Target, kind: int, owner: str, name: str, value: str, reason: str
) -> None:
    if kind == TOPIC:
        client = admin(broker)
        client.create_topics([NewTopic(owner, 1, 1)])[owner].result(30)
    with socket.create_connection(raw.address(broker)) as connection:
        error, message = alter(connection, kind, owner, name, value)
    assert error in (INVALID_REQUEST, INVALID_CONFIG), message
    assert reason in message
    assert name.removeprefix("listener.name.clients.") in message


def test_a_topic_takes_what_its_tools_set(broker: Target) -> None:
    configs = {"cleanup.policy": "compact", "delete.retention.ms": "100", "compression.type": "producer"}
    client = admin(broker)
    client.create_topics([NewTopic("as-tools-set", 1, 1, config=configs)])["as-tools-set"].result(30)
    resource = ConfigResource(ResourceType.TOPIC, "as-tools-set")
    found = client.describe_configs([resource])[resource].result(30)
    assert {name: found[name].value for name in configs} == configs
    # What is not served is not said to be.
    broker_one = ConfigResource(ResourceType.BROKER, "1")
    found = client.describe_configs([broker_one])[broker_one].result(30)
    assert found["group.coordinator.rebalance.protocols"].value == "classic"


def test_documentation_says_what_has_no_effect(broker: Target) -> None:
    def documentation(name: str) -> bytes:
        keys = b"\2" + raw.compact(name)
        # One resource, the broker; without synonyms, with documentation.
        body = b"\2" + struct.pack(">b", 4) + raw.compact("1") + keys + b"\0" + b"\0\1" + b"\0"
        return raw.call(broker, DESCRIBE_CONFIGS, 4, body, flexible=True)

    assert b"Without effect: compaction is not served yet." in documentation("log.cleaner.threads")
    assert b"Keeps its default: batches are kept as the producer" in documentation("compression.type")
    assert b"effect" not in documentation("num.partitions")


def test_a_start_with_what_has_no_effect_yet_says_so_once(tmp_path: Path) -> None:
    ports = ("--kafka-addr", f"127.0.0.1:{free_port()}", "--admin-addr", f"127.0.0.1:{free_port()}")
    given = {"log.cleaner.threads": "2", "transaction.state.log.replication.factor": "1", "num.io.threads": "4"}
    words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    log = tmp_path / "log"
    process = Child([str(find_program()), "dev", "--data-dir", str(tmp_path / "data"), *ports, *words], log)
    try:
        wait_for(lambda: process.require_alive() or '"ready"' in log.read_text(), "the broker to be ready")
    finally:
        process.stop()
    events = [json.loads(line) for line in log.read_text().splitlines()]
    told = {event["setting"]: event["message"] for event in events if event["level"] == "WARN"}
    assert told == {
        "log.cleaner.threads": "it has no effect: compaction is not served yet",
        "transaction.state.log.replication.factor": "it has no effect: transactions are not served yet",
    }
