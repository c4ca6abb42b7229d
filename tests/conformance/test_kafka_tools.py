"""Apache Kafka's own command-line tools, and its verifiable producer and consumer."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import tools
from harness.child import Child
from harness.target import Target
from harness.waiting import wait_for

TOOLS = "org.apache.kafka.tools"
TOPICS = f"{TOOLS}.TopicCommand"
CONFIGS = "org.apache.kafka.tools.ConfigCommand"
GROUPS = f"{TOOLS}.consumer.group.ConsumerGroupCommand"
GET_OFFSETS = f"{TOOLS}.GetOffsetShell"

SETTINGS = {"auto.create.topics.enable": "false"}


def tool(broker: Target, main: str, *words: str, stdin: str | None = None, may_fail: bool = False) -> tools.Outcome:
    return tools.run(
        [*tools.java_command(main), "--bootstrap-server", broker.bootstrap, *words], stdin, may_fail=may_fail
    )


def create(broker: Target, topic: str, partitions: int = 1, *words: str) -> None:
    tool(broker, TOPICS, "--create", "--topic", topic, "--partitions", str(partitions), *words)


def produce(broker: Target, topic: str, lines: list[str], *words: str) -> None:
    tool(broker, f"{TOOLS}.ConsoleProducer", "--topic", topic, *words, stdin="".join(f"{line}\n" for line in lines))


def consume(broker: Target, topic: str, count: int, *words: str) -> list[str]:
    console = f"{TOOLS}.consumer.ConsoleConsumer"
    limits = ("--max-messages", str(count), "--timeout-ms", "20000")
    return tool(broker, console, "--topic", topic, *limits, *words).lines


def offsets(broker: Target, *words: str) -> list[str]:
    return sorted(tool(broker, GET_OFFSETS, *words).lines)


def rows(text: str) -> list[list[str]]:
    """The words of a table's lines, without its head."""
    return [line.split() for line in text.splitlines() if line.strip()][1:]


def test_topics(broker: Target, topic: str, observe: Callable) -> None:
    create(broker, topic, 3, "--config", "retention.ms=3600000")
    assert topic in tool(broker, TOPICS, "--list").lines
    described = tool(broker, TOPICS, "--describe", "--topic", topic).out
    assert described.count("Leader: 1") == 3
    assert "retention.ms=3600000" in described
    observe("describe", re.sub(r"TopicId: \S+", "TopicId: ID", described))
    again = tool(broker, TOPICS, "--create", "--topic", topic, may_fail=True)
    assert again.code == 1
    assert f"Topic '{topic}' already exists." in again.out
    assert tool(broker, TOPICS, "--create", "--topic", topic, "--if-not-exists").code == 0
    tool(broker, TOPICS, "--alter", "--topic", topic, "--partitions", "5")
    assert tool(broker, TOPICS, "--describe", "--topic", topic).out.count("Leader: 1") == 5
    fewer = tool(broker, TOPICS, "--alter", "--topic", topic, "--partitions", "2", may_fail=True)
    assert fewer.code == 1
    observe("fewer partitions", fewer.out.splitlines()[0])
    assert tool(broker, TOPICS, "--describe", "--unavailable-partitions").out == ""
    assert tool(broker, TOPICS, "--describe", "--under-replicated-partitions").out == ""
    tool(broker, TOPICS, "--delete", "--topic", topic)
    wait_for(lambda: topic not in tool(broker, TOPICS, "--list").lines, "the topic to be gone")
    gone = tool(broker, TOPICS, "--describe", "--topic", topic, may_fail=True)
    assert gone.code == 1
    observe("unknown topic", gone.out.splitlines()[0])


@pytest.mark.parametrize(
    "words",
    [
        ("--topic", "bad name"),
        ("--topic", "bad-replication", "--replication-factor", "3"),
        ("--topic", "bad-config", "--config", "retention.ms=soon"),
    ],
    ids=lambda words: words[1],
)
def test_bad_topics_are_refused(broker: Target, words: tuple[str, ...], observe: Callable) -> None:
    refused = tool(broker, TOPICS, "--create", *words, may_fail=True)
    assert refused.code == 1
    observe("message", refused.out.splitlines()[0])


def test_configs_of_topics_and_brokers(broker: Target, topic: str, observe: Callable) -> None:
    create(broker, topic)
    entity = ("--entity-type", "topics", "--entity-name", topic)
    tool(broker, CONFIGS, "--alter", *entity, "--add-config", "retention.ms=5000,cleanup.policy=[compact,delete]")

    def described() -> str:
        return tool(broker, CONFIGS, "--describe", *entity).out

    wait_for(lambda: "retention.ms=5000" in described(), "the change")
    observe("changed", described())
    every = tool(broker, CONFIGS, "--describe", "--all", *entity).out
    names = sorted(re.findall(r"^  ([a-z.]+)=", every, re.MULTILINE))
    assert "segment.bytes" in names
    observe("names", [name for name in names if not name.startswith("esker.")])
    tool(broker, CONFIGS, "--alter", *entity, "--delete-config", "retention.ms")
    wait_for(lambda: "retention.ms" not in described(), "the default to be back")
    wrong = tool(broker, CONFIGS, "--alter", *entity, "--add-config", "retention.ms=soon", may_fail=True)
    assert wrong.code == 1
    one = tool(broker, CONFIGS, "--describe", "--all", "--entity-type", "brokers", "--entity-name", "1").out
    assert "num.partitions=" in one


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_console_producer_and_consumer(broker: Target, topic: str, codec: str, observe: Callable) -> None:
    create(broker, topic)
    lines = [f"h:{i}\tk{i}\tvalue {i}" for i in range(500)]
    shape = ("parse.headers=true", "parse.key=true")
    properties = [word for each in shape for word in ("--reader-property", each)]
    produce(broker, topic, lines, "--compression-codec", codec, *properties)
    shape = ("print.key=true", "print.headers=true", "print.offset=true", "print.partition=true")
    properties = [word for each in shape for word in ("--formatter-property", each)]
    wanted = [f"Partition:0\tOffset:{i}\th:{i}\tk{i}\tvalue {i}" for i in range(500)]
    for warmth in broker.warmths():
        assert consume(broker, topic, 500, "--from-beginning", *properties) == wanted, warmth
        tail = consume(broker, topic, 20, "--partition", "0", "--offset", "480", *properties)
        assert tail == wanted[480:], warmth


def test_get_offsets_with_every_spec(broker: Target, topic: str) -> None:
    create(broker, topic, 2)
    for i in range(3):
        produce(
            broker, topic, [f"k{i}:v{i}"], "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"
        )
    printed = ("--formatter-property", "print.timestamp=true", "--formatter-property", "print.partition=true")
    first = consume(broker, topic, 3, "--from-beginning", *printed)
    times = sorted(int(re.search(r"CreateTime:(\d+)", line)[1]) for line in first)
    counts = Counter(int(re.search(r"Partition:(\d)", line)[1]) for line in first)
    ends = [f"{topic}:{partition}:{counts[partition]}" for partition in (0, 1)]
    for warmth in broker.warmths():
        assert offsets(broker, "--topic", topic) == ends, warmth
        for spec in ("-1", "latest"):
            assert offsets(broker, "--topic", topic, "--time", spec) == ends, (warmth, spec)
        for spec in ("-2", "earliest"):
            assert offsets(broker, "--topic", topic, "--time", spec) == [f"{topic}:0:0", f"{topic}:1:0"], (warmth, spec)
        newest = offsets(broker, "--topic-partitions", f"{topic}:0-2", "--time", "max-timestamp")
        held = [partition for partition in (0, 1) if counts[partition]]
        assert [line for line in newest if not line.endswith(":")] == [
            f"{topic}:{partition}:{counts[partition] - 1}" for partition in held
        ], warmth
        at_first = offsets(broker, "--topic", topic, "--time", str(times[0]))
        assert any(line.endswith(":0") for line in at_first), warmth
        assert offsets(broker, "--topic", topic, "--partitions", "1", "--time", "latest") == ends[1:], warmth
    # What is local and what is remote is each broker's own business, as long as it answers.
    tool(broker, GET_OFFSETS, "--topic", topic, "--time", "earliest-local")
    tool(broker, GET_OFFSETS, "--topic", topic, "--time", "latest-tiered")


def test_offsets_of_groups_are_reset(broker: Target, topic: str, observe: Callable) -> None:
    create(broker, topic, 2)
    group = f"group-{topic}"
    produce(broker, topic, [f"{i}" for i in range(10)], "--reader-property", "parse.key=false", "--sync")
    consume(broker, topic, 10, "--from-beginning", "--group", group)
    ends = {int(line.split(":")[1]): int(line.split(":")[2]) for line in offsets(broker, "--topic", topic)}

    def committed() -> dict[int, int]:
        table = rows(tool(broker, GROUPS, "--describe", "--group", group).out)
        return {int(row[2]): int(row[3]) for row in table if row[0] == group}

    wait_for(lambda: committed() == ends, "the commit of everything")

    def reset(*words: str, execute: bool = True) -> dict[int, int]:
        end = ("--execute",) if execute else ("--dry-run",)
        out = tool(broker, GROUPS, "--reset-offsets", "--group", group, *words, *end).out
        return {int(row[2]): int(row[3]) for row in rows(out) if row[0] == group}

    zero = dict.fromkeys(ends, 0)
    every = ("--topic", topic)
    assert reset(*every, "--to-earliest", execute=False) == zero
    assert committed() == ends
    assert reset(*every, "--to-earliest") == zero
    assert committed() == zero
    assert reset(*every, "--to-latest") == ends
    partition = max(ends, key=ends.get)
    one = ("--topic", f"{topic}:{partition}")
    assert reset(*one, "--to-offset", "2") == {partition: 2}
    assert reset(*one, "--shift-by", "1") == {partition: 3}
    assert reset(*one, "--shift-by", "-100") == {partition: 0}
    assert reset(*every, "--to-datetime", "2020-01-01T00:00:00.000") == zero
    assert reset(*every, "--by-duration", "PT0S") == ends
    assert reset(*every, "--to-current") == ends
    exported = tool(
        broker, GROUPS, "--reset-offsets", "--group", group, *every, "--to-earliest", "--export", "--dry-run"
    )
    observe("export", sorted(exported.lines))
    assert sorted(line for line in exported.lines if line.startswith('"')) == [f'"{topic}",{p},0' for p in sorted(ends)]
    assert reset("--all-topics", "--to-earliest") == zero
    for _warmth in broker.warmths():
        assert committed() == zero
    assert len(consume(broker, topic, 10, "--group", group)) == 10
    wait_for(lambda: committed() == ends, "the second commit of everything")


def test_reset_from_a_file(broker: Target, topic: str, tmp_path: Path) -> None:
    create(broker, topic)
    produce(broker, topic, ["a", "b", "c"])
    file = tmp_path / "offsets.csv"
    file.write_text(f'"{topic}",0,2\n')
    words = ("--reset-offsets", "--group", f"group-{topic}", "--from-file", str(file), "--execute")
    tool(broker, GROUPS, *words)
    assert consume(broker, topic, 1, "--group", f"group-{topic}") == ["c"]


def test_groups(broker: Target, topic: str, tmp_path: Path, observe: Callable) -> None:
    create(broker, topic)
    produce(broker, topic, ["x"])
    group = f"group-{topic}"
    command = [*tools.java_command(f"{TOOLS}.consumer.ConsoleConsumer"), "--bootstrap-server", broker.bootstrap]
    command += ["--topic", topic, "--group", group, "--from-beginning"]
    member = Child(command, tmp_path / "member.log")
    try:

        def described() -> list[list[str]]:
            table = rows(tool(broker, GROUPS, "--describe", "--group", group, may_fail=True).out)
            return [row for row in table if row[0] == group and row[4] == "1" and row[3] == "1"]

        # Commits come every five seconds.
        wait_for(described, "a member that has committed")
        state = tool(broker, GROUPS, "--describe", "--group", group, "--state").out
        observe("state", re.sub(r"\S+:\d+", "BROKER", state))
        assert "Stable" in state
        assert "console-consumer" in tool(broker, GROUPS, "--describe", "--group", group, "--members", "--verbose").out
        assert group in tool(broker, GROUPS, "--list").lines
        assert re.search(rf"{group} +Stable", tool(broker, GROUPS, "--list", "--state").out)
        refused = tool(broker, GROUPS, "--delete", "--group", group, may_fail=True)
        observe("delete", re.sub(r"\S+:\d+", "BROKER", refused.out))
        assert "not empty" in refused.out
    finally:
        member.stop()
    wait_for(
        lambda: "Empty" in tool(broker, GROUPS, "--describe", "--group", group, "--state").out, "the group to be empty"
    )
    deleted = tool(broker, GROUPS, "--delete-offsets", "--group", group, "--topic", topic).out
    assert "Successful" in deleted
    assert "success" in tool(broker, GROUPS, "--delete", "--group", group).out
    unknown = tool(broker, GROUPS, "--describe", "--group", group, may_fail=True)
    observe("unknown", unknown.out + unknown.err)


def test_records_are_deleted(broker: Target, topic: str, tmp_path: Path) -> None:
    create(broker, topic)
    produce(broker, topic, [str(i) for i in range(20)])
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "offset": 15}], "version": 1}))
    out = tool(broker, f"{TOOLS}.DeleteRecordsCommand", "--offset-json-file", str(plan)).out
    assert f"partition: {topic}-0\tlow_watermark: 15" in out
    for warmth in broker.warmths():
        assert offsets(broker, "--topic", topic, "--time", "earliest") == [f"{topic}:0:15"], warmth
        assert consume(broker, topic, 5, "--from-beginning") == ["15", "16", "17", "18", "19"], warmth


def test_log_dirs(broker: Target, topic: str) -> None:
    create(broker, topic)
    produce(broker, topic, ["x" * 1000] * 50)
    for warmth in broker.warmths():
        out = tool(broker, f"{TOOLS}.LogDirsCommand", "--describe", "--topic-list", topic).lines
        (line,) = [line for line in out if line.startswith("{")]
        (entry,) = json.loads(line)["brokers"][0]["logDirs"]
        assert entry["error"] is None
        (partition,) = entry["partitions"]
        assert partition["partition"] == f"{topic}-0"
        assert partition["size"] >= 50_000, warmth


def test_api_versions_and_cluster(broker: Target) -> None:
    assert "Produce(0): 0 to 13" in tool(broker, f"{TOOLS}.BrokerApiVersionsCommand").out
    assert (
        "Cluster ID: "
        in tools.run(
            [*tools.java_command(f"{TOOLS}.ClusterTool"), "cluster-id", "--bootstrap-server", broker.bootstrap]
        ).out
    )


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_producer_perf_test(broker: Target, topic: str, acks: str) -> None:
    create(broker, topic, 4)
    words = ["--topic", topic, "--num-records", "50000", "--record-size", "200", "--throughput", "-1"]
    properties = ["--command-property", f"bootstrap.servers={broker.bootstrap}", f"acks={acks}", "linger.ms=5"]
    out = tools.run([*tools.java_command(f"{TOOLS}.ProducerPerformance"), *words, *properties]).out
    assert "50000 records sent" in out

    def arrived() -> int:
        return sum(int(line.split(":")[2]) for line in offsets(broker, "--topic", topic))

    wait_for(lambda: arrived() >= 50_000, "all records")
    assert arrived() == 50_000
    for warmth in broker.warmths():
        words = [
            "--topic",
            topic,
            "--num-records",
            "50000",
            "--bootstrap-server",
            broker.bootstrap,
            "--timeout",
            "30000",
        ]
        out = tools.run([*tools.java_command(f"{TOOLS}.ConsumerPerformance"), *words, "--hide-header"]).out
        assert ", 50000, " in out, (warmth, out)


def events(text: str, name: str) -> list[dict]:
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [event for event in found if event["name"] == name]


@pytest.mark.parametrize("acks", ["1", "-1"])
def test_what_is_acknowledged_is_consumed_once(broker: Target, topic: str, acks: str, tmp_path: Path) -> None:
    create(broker, topic, 3)
    words = ("--topic", topic, "--max-messages", "30000", "--throughput", "-1", "--acks", acks)
    sent = tool(broker, f"{TOOLS}.VerifiableProducer", *words).out
    acknowledged = Counter((event["partition"], event["offset"]) for event in events(sent, "producer_send_success"))
    values = {(event["partition"], event["offset"]): event["value"] for event in events(sent, "producer_send_success")}
    assert len(acknowledged) == sum(acknowledged.values()) == 30_000
    assert not events(sent, "producer_send_error")
    for warmth in broker.warmths():
        words = ("--topic", topic, "--group-id", f"{topic}-{warmth}", "--max-messages", "30000", "--verbose")
        words += ("--reset-policy", "earliest")
        got = tool(broker, f"{TOOLS}.VerifiableConsumer", *words).out
        data = events(got, "record_data")
        consumed = Counter((event["partition"], event["offset"]) for event in data)
        assert consumed == acknowledged, warmth
        assert {(event["partition"], event["offset"]): event["value"] for event in data} == values, warmth


def test_unknown_topic(broker: Target, topic: str) -> None:
    refused = tool(
        broker,
        f"{TOOLS}.ConsoleProducer",
        *("--topic", topic, "--command-property", "max.block.ms=3000"),
        stdin="x\n",
        may_fail=True,
    )
    assert f"Topic {topic} not present in metadata" in refused.out + refused.err
    assert topic not in tool(broker, TOPICS, "--list").lines
