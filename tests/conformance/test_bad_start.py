"""Starts that cannot work: one clear line with what to try, exit 2, and nothing changed."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from harness import tools
from harness.esker import Esker, find_program
from harness.ports import free_port

USAGE = 2
Words = tuple[str, ...]


@pytest.fixture(autouse=True)
def only_esker(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--target") != "esker":
        pytest.skip("these are Esker's own answers")


def tree(directory: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def refuse(directory: Path, *words: str, verb: str = "dev", env: dict[str, str] | None = None) -> str:
    """Starts a broker that must refuse; answers its one line."""
    before = tree(directory)
    done = tools.run([str(find_program()), verb, *words], env=env, may_fail=True, patience_s=60)
    assert done.code == USAGE, f"ended with {done.code}\n{done.out}\n{done.err}"
    lines = done.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("esker: "), done.err
    assert tree(directory) == before, "a start that fails changes nothing"
    return lines[0]


def places(directory: Path) -> Words:
    kafka, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    return ("--data-dir", str(directory / "data"), "--kafka-addr", kafka, "--admin-addr", admin)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("num.partition=3", "num.partitions"),
        ("num.partitions=many", "num.partitions"),
        ("num.partitions", "KEY=VALUE"),
        ("log.retention.ms=soon", "log.retention.ms"),
        ("esker.wal.segment.bytes=1", "esker.wal.segment.bytes"),
        ("process.roles=broker", "process.roles"),
        ("listeners=PLAINTEXT://:9092,OTHER://:9093", "listener"),
        ("listeners=SSL://:9092", "not served yet"),
        ("log.dirs=/a,/b", "log.dirs"),
        ("authorizer.class.name=x", "authorizer.class.name"),
        ("max.connections.per.ip=5", "max.connections.per.ip"),
        ("compression.type=zstd", "compression.type"),
        ("listener.name.a.max.connections=5", "listener.name."),
        ("remote.log.manager.copy.max.bytes.per.second=5", "remote.log.manager.copy.max.bytes.per.second"),
    ],
)
def test_wrong_settings(tmp_path: Path, setting: str, expected: str) -> None:
    assert expected in refuse(tmp_path, *places(tmp_path), "--set", setting)


@pytest.mark.parametrize("option", ["--kafka-addr", "--admin-addr"])
def test_port_in_use(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = list(places(tmp_path))
        words[words.index(option) + 1] = address
        line = refuse(tmp_path, *words)
    assert address in line and option in line


def test_unwritable_directory(tmp_path: Path) -> None:
    words = list(places(tmp_path))
    words[1] = "/proc/esker-data"
    line = refuse(tmp_path, *words)
    assert "/proc/esker-data" in line and "--data-dir" in line


def test_foreign_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("do not touch")
    line = refuse(tmp_path, *places(tmp_path))
    assert "thesis.txt" in line and "--data-dir" in line


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    assert "data" in refuse(tmp_path, *places(tmp_path))


def test_second_process_on_one_directory(broker: Esker, tmp_path: Path) -> None:
    words = list(places(tmp_path))
    words[1] = str(broker.data_dir)
    line = refuse(tmp_path, *words)
    assert "in use by another process" in line
    assert broker.ask("GET", "/readyz") == "ok\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3:/x", "s3://bucket/prefix"),
        ("ftp://host/x", "ftp"),
        ("s3://bucket", "127.0.0.1:1"),
        ("file:///proc/esker", "/proc/esker"),
    ],
)
def test_buckets_that_cannot_be_used(tmp_path: Path, url: str, expected: str) -> None:
    env = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    line = refuse_bucket(tmp_path, url, env)
    assert expected in line and "secret" not in line


def refuse_bucket(tmp_path: Path, url: str, env: dict[str, str]) -> str:
    """As `refuse`; the data directory may have been made, but must be empty."""
    (tmp_path / "data").mkdir()
    return refuse(tmp_path, *places(tmp_path), "--bucket", url, env=env)


def test_bucket_of_another_cluster(broker: Esker, tmp_path: Path) -> None:
    env = broker.bucket_env
    line = refuse_bucket(tmp_path, broker.bucket_url, env)
    assert "belongs to cluster" in line and "prefix" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a user without rights")
def test_directory_of_another_user(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(tmp_path, 65534, 65534)
    for parent in [*tmp_path.parents][:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    # Where that user may run it: the program may lie in a home that only its owner enters.
    program = shutil.copy(find_program(), tmp_path / "esker")
    command = [str(program), "dev", *places(tmp_path)]
    done = subprocess.run(command, user=65534, group=65534, capture_output=True, timeout=60, check=False)
    assert done.returncode == USAGE, done
    assert b"ermission denied" in done.stderr and b"--data-dir" in done.stderr and not list(data.iterdir())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "esker.toml"),
        ("data-dir = 7", "data-dir"),
        ("dat-dir = '/x'", "dat-dir"),
        ("data-dir = '/x'\n[settings]\nnum.partitions = 3", "quotes"),
        ("[settings]", "data-dir"),
        ("data-dir = '", "esker.toml"),
    ],
)
def test_wrong_configuration_files(tmp_path: Path, content: str | None, expected: str) -> None:
    path = tmp_path / "esker.toml"
    if content is not None:
        path.write_text(content)
    before = tree(tmp_path)
    done = tools.run([str(find_program()), "server", "--config", str(path)], may_fail=True)
    assert done.code == USAGE and expected in done.err, done
    assert tree(tmp_path) == before


def test_words_that_no_verb_has() -> None:
    for words in (["bogus"], ["topic", "create"], ["dev", "--bogus"], ["topic", "consume", "t", "-o", "bogus"]):
        done = tools.run([str(find_program()), *words], may_fail=True)
        assert done.code == USAGE and done.err and "panicked" not in done.err, (words, done)
