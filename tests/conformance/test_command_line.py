"""The verbs of `esker` itself, as scripts use them: what they do, what they print as JSON, how they end."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import tools
from harness.child import Child
from harness.esker import Esker, find_program
from harness.waiting import wait_for

ERROR, USAGE, NOT_FOUND, UNHEALTHY, TIMEOUT = 1, 2, 3, 4, 5

Run = Callable[..., tools.Outcome]


@pytest.fixture
def esker(broker: Esker, request: pytest.FixtureRequest) -> Run:
    """Runs a verb against the broker; `code` is how it must end."""
    if request.config.getoption("--target") != "esker":
        pytest.skip("asks the admin interface, too")

    def run(*words: str, stdin: str | None = None, code: int = 0) -> tools.Outcome:
        env = {"ESKER_BROKERS": broker.bootstrap, "ESKER_ADMIN": broker.admin}
        done = tools.run([str(find_program()), *words], stdin, env=env, may_fail=True)
        assert done.code == code, f"{words} ended with {done.code}\n{done.out}\n{done.err}"
        if code:
            assert done.err.startswith("error: ") or done.err.startswith("esker: "), done.err
        return done

    return run


def test_topics_from_creation_to_deletion(esker: Run, topic: str) -> None:
    other = topic + "-2"
    esker("topic", "create", topic, other, "-p", "3", "-c", "retention.ms=86400000")
    assert "TOPIC_ALREADY_EXISTS" in esker("topic", "create", topic, code=ERROR).err
    esker("topic", "create", topic, "--if-not-exists")
    listed = json.loads(esker("topic", "list", "-o", "json").out)
    rows = {row["name"]: row for row in listed}
    assert rows[topic]["partitions"] == 3 and rows[topic]["replicas"] == 1 and not rows[topic]["internal"]
    assert "NAME" in esker("topic", "list").lines[0]
    assert topic in esker("topic", "list", "-o", "name").lines

    described = json.loads(esker("topic", "describe", topic, "-o", "json").out)
    assert [row["partition"] for row in described["partitions"]] == [0, 1, 2]
    configs = {row["name"]: row for row in described["configs"]}
    assert configs["retention.ms"]["value"] == "86400000"

    esker("topic", "alter", topic, "-s", "retention.ms=7200000", "-p", "5")
    esker("topic", "alter", topic, "-u", "retention.ms")
    described = json.loads(esker("topic", "describe", topic, "-o", "json").out)
    assert len(described["partitions"]) == 5 and not described["configs"]
    wrong = esker("topic", "alter", topic, "-s", "retention.mss=1", code=ERROR)
    assert "retention.mss" in wrong.err and "retention.ms" in wrong.err

    refused = esker("topic", "delete", other, code=USAGE)
    assert "--yes" in refused.err, "without a person at the keyboard nothing is deleted unasked"
    esker("topic", "delete", other, "--dry-run")
    assert other in esker("topic", "list", "-o", "name").lines
    esker("topic", "delete", other, "-y")
    assert other not in esker("topic", "list", "-o", "name").lines
    assert "UNKNOWN_TOPIC" in esker("topic", "describe", other, code=NOT_FOUND).err


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_records_come_back_as_they_went_in(esker: Run, broker: Esker, topic: str, codec: str) -> None:
    esker("topic", "create", topic)
    lines = [f"k{i} v{i * 7}" for i in range(500)]
    sent = esker("topic", "produce", topic, "-f", "%k %v\\n", "-z", codec, "-H", "a:1", stdin="\n".join(lines) + "\n")
    assert sent.lines[-1] == "Produced to partition 0 at offset 499."
    for warmth in broker.warmths():
        got = esker("topic", "consume", topic, "-o", ":end", "-f", "%k %v\\n")
        assert got.lines == lines, warmth
        first = json.loads(esker("topic", "consume", topic, "-n", "1", "-f", "jsonl").out)
        assert (first["key"], first["value"], first["offset"]) == ("k0", "v0", 0), warmth
        assert first["headers"] == [{"key": "a", "value": "1"}], warmth
        assert esker("topic", "consume", topic, "-o", "490:492", "-f", "%o ").out == "490 491 ", warmth
        assert esker("topic", "consume", topic, "-o", "-2", "-n", "2", "-f", "%v\\n").lines == ["v3486", "v3493"]


def test_groups_are_read_listed_moved_and_deleted(esker: Run, topic: str) -> None:
    group = topic + "-group"
    esker("topic", "create", topic)
    esker("topic", "produce", topic, stdin="".join(f"{i}\n" for i in range(100)))
    assert esker("topic", "consume", topic, "-g", group, "-n", "60", "-f", "%v\\n").lines[-1] == "59"
    assert group in [row["group"] for row in json.loads(esker("group", "list", "-o", "json").out)]

    def row() -> dict:
        return json.loads(esker("group", "describe", group, "-o", "json").out)["partitions"][0]

    assert (row()["committed_offset"], row()["log_end_offset"], row()["lag"]) == (60, 100, 40)
    esker("group", "seek", group, "--to", "10", "--dry-run")
    assert row()["committed_offset"] == 60
    esker("group", "seek", group, "--to", "10")
    assert esker("topic", "consume", topic, "-g", group, "-n", "1", "-f", "%v").out == "10"
    esker("group", "delete", group, "-y")
    assert "GROUP_ID_NOT_FOUND" in esker("group", "describe", group, code=NOT_FOUND).err


def test_a_reader_that_stops_does_not_wait_for_a_broker_that_is_gone(
    esker: Run, broker: Esker, topic: str, tmp_path: Path
) -> None:
    esker("topic", "create", topic)
    esker("topic", "produce", topic, stdin="one\n")
    command = [str(find_program()), "topic", "consume", topic, "-g", f"{topic}-group", "-f", "%v\n"]
    reader = Child(command, tmp_path / "reader.log", {**os.environ, "ESKER_BROKERS": broker.bootstrap})
    try:
        wait_for(lambda: "one" in reader.log_end(), "the record")
        broker.pause()
        reader.send(signal.SIGINT)
        # Two seconds for a commit that is on its way, and two to leave the group.
        assert reader.wait(10) == 0, reader.log_end()
        assert "session to end" in reader.log_end()
    finally:
        reader.kill()
        broker.crash()


def test_trimmed_records_are_gone(esker: Run, topic: str) -> None:
    esker("topic", "create", topic)
    esker("topic", "produce", topic, stdin="".join(f"{i}\n" for i in range(100)))
    esker("topic", "trim", topic, "-o", "40", "--dry-run")
    assert esker("topic", "consume", topic, "-n", "1", "-f", "%v").out == "0"
    esker("topic", "trim", topic, "-o", "40", "-y")
    assert esker("topic", "consume", topic, "-n", "1", "-f", "%v").out == "40"
    assert "OFFSET_OUT_OF_RANGE" in esker("topic", "trim", topic, "-o", "1000", "-y", code=ERROR).err


def test_the_tier_is_shown_flushed_and_verified(esker: Run, topic: str) -> None:
    esker("topic", "create", topic)
    esker("topic", "produce", topic, stdin="".join(f"{i}\n" for i in range(1000)))
    esker("tier", "flush", topic)
    [status] = json.loads(esker("tier", "status", "-o", "json").out)
    assert status["objects"] > 0 and status["tiered_bytes"] > 0 and status["flush_failing"] is False
    assert "0 damaged" in esker("tier", "verify").out
    esker("cache", "clear")
    assert len(esker("topic", "consume", topic, "-o", ":end", "-f", "%v\\n").lines) == 1000
    [stats] = json.loads(esker("cache", "stats", "-o", "json").out)
    assert isinstance(stats, dict) and stats, stats
    assert "`no-such-topic`" in esker("tier", "flush", "no-such-topic", code=NOT_FOUND).err


def test_a_healthy_broker_passes_its_examination(esker: Run, broker: Esker) -> None:
    findings = json.loads(esker("doctor", "-o", "json").out)
    assert {"kafka", "broker", "leaders", "ready", "bucket", "wal"} <= {row["check"] for row in findings}
    assert all(row["ok"] for row in findings), findings
    elsewhere = esker("doctor", "--brokers", "127.0.0.1:1", "--admin", "127.0.0.1:1", code=UNHEALTHY)
    assert "WRONG" in elsewhere.out


def test_the_log_of_a_stopped_broker_can_be_inspected(esker: Run, broker: Esker, topic: str) -> None:
    esker("topic", "create", topic)
    esker("topic", "produce", topic, stdin="one\ntwo\n")
    inspected = json.loads(esker("wal", "inspect", str(broker.data_dir / "wal"), "-o", "json").out)
    assert inspected, "at least one journal"
    assert esker("wal", "inspect", "/nonexistent", code=ERROR).err


def test_an_absent_broker_is_an_error_with_advice(esker: Run) -> None:
    done = esker("topic", "list", "--brokers", "127.0.0.1:1", "--timeout", "1", code=ERROR)
    assert "127.0.0.1:1" in done.err and "--brokers" in done.err


def test_settings_are_documented(esker: Run) -> None:
    rows = json.loads(esker("config", "docs", "--json").out)
    names = {row["name"] for row in rows}
    assert len(names) > 350 and {"retention.ms", "log.retention.ms", "esker.flush.bytes"} <= names
    assert "retention.ms" in esker("config", "docs", "retention").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_scripts(esker: Run, shell: str) -> None:
    script = esker("completions", shell).out
    assert "consume" in script
    if shell == "bash" and os.path.exists("/bin/bash"):
        tools.run(["/bin/bash", "-n"], script)


def test_output_that_nobody_reads_is_no_error(esker: Run, broker: Esker, topic: str) -> None:
    esker("topic", "create", topic)
    esker("topic", "produce", topic, stdin="".join(f"{i}\n" for i in range(20_000)))
    command = f"{find_program()} topic consume {topic} -o :end -f '%v\\n' --brokers {broker.bootstrap} | head -1"
    done = tools.run(["/bin/bash", "-o", "pipefail", "-c", command])
    assert done.out == "0\n" and not done.err


def test_metrics_and_health_are_served(esker: Run, broker: Esker) -> None:
    assert broker.ask("GET", "/livez") == "ok\n"
    assert broker.ask("GET", "/readyz") == "ok\n"
    text = wait_for(lambda: broker.ask("GET", "/metrics"), "metrics")
    assert text.rstrip().endswith("# EOF") and "esker_" in text


def test_the_generator_loses_nothing(esker: Run, topic: str) -> None:
    esker("topic", "create", topic, "-p", "2")
    sent = json.loads(esker("bench", "produce", topic, "--bytes", "8000000", "-o", "json").out)
    assert sent["errors"] == 0 and sent["bytes"] >= 8_000_000
    assert sent["request_latency"]["count"] == sent["requests"]
    read = json.loads(esker("bench", "consume", topic, "-g", "3", "-o", "json").out)
    assert (read["errors"], read["records"]) == (0, 3 * sent["records"])


def test_latency_is_measured_when_more_is_due_than_fits_into_a_batch(esker: Run, topic: str) -> None:
    esker("topic", "create", topic)
    # 100 records of 300 KB within a millisecond: a batch may have 1 MiB.
    words = ["-s", "300000", "--rate", "100000", "-d", "0.001", "--warm-up", "0", "-o", "json"]
    report = json.loads(esker("bench", "latency", topic, *words).out)
    assert (report["errors"], report["records"]) == (0, 100)
    assert report["end_to_end_latency"]["count"] == report["request_latency"]["count"] == 100


def test_requests_to_the_bucket_are_counted(esker: Run, broker: Esker, topic: str) -> None:
    def counted(name: str) -> int:
        rows = (line.split(" ") for line in broker.ask("GET", "/metrics").splitlines())
        return next(int(row[1]) for row in rows if row[0] == f"esker_bucket_{name}_total")

    esker("topic", "create", topic)
    before = {name: counted(name) for name in ("puts", "put_bytes")}
    esker("topic", "produce", topic, stdin="".join(f"{i:01000d}\n" for i in range(100)))
    broker.flush()
    assert counted("puts") > before["puts"]
    assert counted("put_bytes") >= before["put_bytes"] + 100_000
