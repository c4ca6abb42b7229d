"""Tools that look at a cluster and change nothing, and what they ask before they change something."""

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from harness import raw, tools
from harness.child import Child
from harness.esker import find_program
from harness.ports import free_port
from harness.target import Target
from harness.waiting import wait_for

TOOLS = "org.apache.kafka.tools"
# Settings that the offsets topic is made with.
SETTINGS = {"offsets.topic.num.partitions": "3"}
OFFSETS_TOPIC = "__consumer_offsets"

METADATA, SASL_HANDSHAKE, DESCRIBE_ACLS, SASL_AUTHENTICATE, ELECT_LEADERS = 3, 17, 29, 36, 43
UNREGISTER_BROKER, DESCRIBE_TRANSACTIONS = 64, 65
ILLEGAL_SASL_STATE, INVALID_REQUEST, SECURITY_DISABLED = 34, 42, 54
BROKER_ID_NOT_REGISTERED, TRANSACTIONAL_ID_NOT_FOUND = 102, 105


def tool(broker: Target, main: str, *words: str, may_fail: bool = False) -> tools.Outcome:
    where = ("--bootstrap-server", broker.bootstrap)
    # ClusterTool wants its verb first.
    ordered = (*words, *where) if main == "ClusterTool" else (*where, *words)
    return tools.run([*tools.java_command(f"{TOOLS}.{main}"), *ordered], may_fail=may_fail)


@pytest.fixture
def made(broker: Target, topic: str) -> str:
    """A topic with two partitions."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    return topic


def test_features(broker: Target, observe: Callable) -> None:
    lines = tool(broker, "FeatureCommand", "describe").lines
    features = dict(re.match(r"Feature: (\S+).*FinalizedVersionLevel: (\S+)", line).groups() for line in lines)
    assert features["metadata.version"] == "4.4-IV2"
    if broker.name == "esker":
        assert list(features) == ["metadata.version"]
    same = tool(broker, "FeatureCommand", "upgrade", "--feature", "metadata.version=33")
    observe("same level", same.out)
    unknown = tool(broker, "FeatureCommand", "upgrade", "--feature", "nothing.version=1", may_fail=True)
    assert unknown.code != 0
    assert "nothing.version" in unknown.out + unknown.err


def test_metadata_quorum(broker: Target) -> None:
    status = tool(broker, "MetadataQuorumCommand", "describe", "--status").out
    assert re.search(r"^LeaderId: +1$", status, re.MULTILINE), status
    assert re.search(r"^MaxFollowerLag: +0$", status, re.MULTILINE), status
    (voter,) = json.loads(re.search(r"^CurrentVoters: +(.*)$", status, re.MULTILINE)[1])
    assert voter["id"] == 1
    rows = tool(broker, "MetadataQuorumCommand", "describe", "--replication").lines
    assert [row.split()[0] + " " + row.split()[-1] for row in rows if row[0].isdigit()] == ["1 Leader"]


def test_reassignments(broker: Target, made: str, tmp_path: Path, observe: Callable) -> None:
    command = "reassign.ReassignPartitionsCommand"
    observe("list", tool(broker, command, "--list").out)

    def plan(replicas: list[int]) -> tuple[str, str]:
        file = tmp_path / "plan.json"
        where = [{"topic": made, "partition": 0, "replicas": replicas, "log_dirs": ["any"] * len(replicas)}]
        file.write_text(json.dumps({"version": 1, "partitions": where}))
        return "--reassignment-json-file", str(file)

    assert "Successfully started" in tool(broker, command, "--execute", *plan([1])).out
    verified = tool(broker, command, "--verify", *plan([1])).out
    assert "is completed" in verified
    observe("verify", verified)
    cancelled = tool(broker, command, "--cancel", *plan([1]), may_fail=True)
    observe("cancel", cancelled.out)
    refused = tool(broker, command, "--execute", *plan([7]), may_fail=True)
    assert refused.code != 0


def test_cluster(broker: Target) -> None:
    assert "Cluster ID: " in tool(broker, "ClusterTool", "cluster-id").out
    assert "unfenced" in tool(broker, "ClusterTool", "list-endpoints").out
    answer = raw.call(broker, UNREGISTER_BROKER, 0, struct.pack(">i", 9) + b"\0", flexible=True)
    assert struct.unpack_from(">h", answer, 5) == (BROKER_ID_NOT_REGISTERED,)


@pytest.mark.parametrize("words", [("users",), ("users", "nobody"), ("clients",), ("ips",), ("groups",)])
def test_there_are_no_quotas_and_no_users(broker: Target, words: tuple[str, ...]) -> None:
    name = ("--entity-name", words[1]) if len(words) > 1 else ()
    described = tool(broker, "ConfigCommand", "--entity-type", words[0], *name, "--describe")
    assert described.out.strip() == ""


def test_acls_without_an_authorizer(broker: Target, observe: Callable) -> None:
    listed = tool(broker, "AclCommand", "--list", may_fail=True)
    assert "SecurityDisabledException: No Authorizer is configured on the broker" in listed.out + listed.err
    observe("list", listed.out.splitlines()[:1])


def test_transactions_and_producers(broker: Target, made: str, observe: Callable) -> None:
    observe("transactions", tool(broker, "TransactionsCommand", "list").out)
    observe("hanging", tool(broker, "TransactionsCommand", "find-hanging", "--broker-id", "1").out)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True})
    for _ in range(3):
        producer.produce(made, b"x", partition=1)
        assert producer.flush(30) == 0

    def producers(partition: int) -> list[list[str]]:
        words = ("describe-producers", "--topic", made, "--partition", str(partition))
        return [row.split() for row in tool(broker, "TransactionsCommand", *words).lines[1:]]

    for warmth in broker.warmths():
        assert producers(0) == [], warmth
        ((_, epoch, coordinator_epoch, sequence, time, start),) = producers(1)
        assert (epoch, coordinator_epoch, sequence, start) == ("0", "-1", "2", "None"), warmth
        assert int(time) > 1_600_000_000_000, warmth
    words = ("describe-producers", "--topic", "nowhere", "--partition", "0")
    assert tool(broker, "TransactionsCommand", *words, may_fail=True).code != 0
    if broker.name == "esker":
        body = b"\2" + raw.compact("nobody") + b"\0"
        answer = raw.call(broker, DESCRIBE_TRANSACTIONS, 0, body, flexible=True)
        assert struct.unpack_from(">h", answer, 6) == (TRANSACTIONAL_ID_NOT_FOUND,)


def test_elections(broker: Target, made: str, observe: Callable) -> None:
    words = ("--election-type", "preferred")
    observe("all", tool(broker, "LeaderElectionCommand", *words, "--all-topic-partitions").out)
    one = tool(broker, "LeaderElectionCommand", *words, "--topic", made, "--partition", "1").out
    assert "Valid replica already elected" in one
    gone = tool(broker, "LeaderElectionCommand", *words, "--topic", made, "--partition", "7", may_fail=True)
    assert "UnknownTopicOrPartition" in gone.out + gone.err


def test_groups_and_resources(broker: Target, made: str, observe: Callable) -> None:
    observe("groups", tool(broker, "GroupsCommand", "--list").out)
    observe("client metrics", tool(broker, "ClientMetricsCommand", "--list").out)
    described = tool(broker, "ConfigCommand", "--entity-type", "topics", "--describe").out
    assert f"Dynamic configs for topic {made} are:" in described
    described = tool(broker, "ConfigCommand", "--entity-type", "brokers", "--describe").out
    assert "Dynamic configs for broker 1 are:" in described


def test_logins_where_there_are_none(broker: Target) -> None:
    answer = raw.call(broker, SASL_HANDSHAKE, 1, raw.string("PLAIN"))
    assert struct.unpack(">hi", answer) == (ILLEGAL_SASL_STATE, 0)
    answer = raw.call(broker, SASL_AUTHENTICATE, 0, struct.pack(">i", 1) + b"x")
    assert struct.unpack_from(">h", answer) == (ILLEGAL_SASL_STATE,)


def test_metadata_makes_the_offsets_topic(broker: Target) -> None:
    asked = struct.pack(">i", 1) + raw.string(OFFSETS_TOPIC) + b"\1"

    def partitions() -> int:
        raw.call(broker, METADATA, 4, asked)
        topics = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=30).topics
        return len(topics[OFFSETS_TOPIC].partitions) if OFFSETS_TOPIC in topics else 0

    wait_for(lambda: partitions() > 0, "the offsets topic")
    assert partitions() == 3


def test_short_questions_with_long_answers_are_bounded(broker: Target) -> None:
    if broker.name != "esker":
        pytest.skip("Apache Kafka answers, with megabytes")
    # A topic's name, then as many partitions as take 4 bytes each; the length is a varint of three bytes.
    count = 300_000 + 1
    length = bytes([count & 0x7F | 0x80, count >> 7 & 0x7F | 0x80, count >> 14])
    body = b"\0" + b"\2" + raw.compact("x") + length + bytes(4 * 300_000) + b"\0" + struct.pack(">i", 1000) + b"\0"
    with pytest.raises((AssertionError, ConnectionError)):
        raw.call(broker, ELECT_LEADERS, 2, body, flexible=True)
    asked = b"\2" + raw.compact("x") + b"\2" + bytes(4) + b"\0"
    few = raw.call(broker, ELECT_LEADERS, 2, b"\0" + asked + struct.pack(">i", 1000) + b"\0", flexible=True)
    assert b"There is no such partition." in few


def test_an_election_or_a_filter_of_no_kind(broker: Target, made: str) -> None:
    asked = b"\2" + raw.compact(made) + b"\2" + bytes(4) + b"\0"
    answer = raw.call(broker, ELECT_LEADERS, 2, b"\5" + asked + struct.pack(">i", 1000) + b"\0", flexible=True)
    # Tags, throttle time, the error, one topic with one partition.
    assert struct.unpack_from(">h", answer, 5) == (INVALID_REQUEST,)
    assert struct.unpack_from(">ih", answer, 9 + len(made) + 1) == (0, INVALID_REQUEST)
    with pytest.raises((AssertionError, ConnectionError)):
        raw.call(broker, DESCRIBE_ACLS, 3, bytes([0, 0, 3, 0, 0, 1, 1, 0]), flexible=True)
    refused = raw.call(broker, DESCRIBE_ACLS, 3, bytes([1, 0, 3, 0, 0, 1, 1, 0]), flexible=True)
    assert struct.unpack_from(">h", refused, 5) == (SECURITY_DISABLED,)


def topicctl(broker: Target, *words: str, may_fail: bool = False) -> str:
    program = tools.require_built("go-tools/topicctl", "the Go module proxy did not have it")
    command = [str(program), "get", *words, "--broker-addr", broker.bootstrap, "--no-spinner"]
    outcome = tools.run(command, may_fail=may_fail)
    return outcome.out + outcome.err


def test_topicctl(broker: Target, made: str) -> None:
    for words, wanted in [
        (("brokers",), r"\b1 +\| +127\.0\.0\.1 "),
        (("topics",), rf"\b{made} +\| 2 +\| 1 "),
        (("partitions", made), rf"{made} +\| 1 +\| 1 +\| \[1\] .*OK"),
        (("offsets", made), r"\b1 +\| 0 "),
        (("balance", made), r"POSITION 1"),
        (("config", made), r"Config for topic"),
        (("controllerid",), r"ACTIVE CONTROLLER"),
        (("clusterid",), r"KAFKA CLUSTER ID"),
        (("groups",), r"COORDINATOR"),
        (("users",), r"MECHANISM"),
    ]:
        out = topicctl(broker, *words)
        assert re.search(wanted, out), (words, out)
        assert "level=error" not in out, (words, out)
    assert "Security Disabled" in topicctl(broker, "acls", may_fail=True)


def test_a_data_directory_beside_the_working_directory(tmp_path: Path) -> None:
    """`--data-dir ../x` is where it says, the bucket within it."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    ports = ("--kafka-addr", f"127.0.0.1:{free_port()}", "--admin-addr", f"127.0.0.1:{free_port()}")
    command = [str(find_program()), "dev", "--data-dir", "../there", *ports]
    log = tmp_path / "log"
    process = Child(["sh", "-c", f"cd {here} && exec \"$@\"", "sh", *command], log)
    try:
        wait_for(lambda: process.require_alive() or "ready" in log.read_text(), "the broker to be ready")
    finally:
        process.stop()
    assert (there / "bucket").is_dir()
    assert not any(here.iterdir())
