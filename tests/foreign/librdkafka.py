#!/usr/bin/env python3
"""librdkafka's own tests, from the sources in an npm package, one process a test."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import suite
from harness.tools import cache_dir

PACKAGE = "@confluentinc/kafka-javascript@1.10.1"
PATIENCE_S = 150
# A line of the summary at the end. A runner without one was ended by a signal or by our patience.
VERDICT = re.compile(r"\|\S*\s+(\d{4}_\w+)\s+\|\s+(PASSED|FAILED|SKIPPED)\s+\|")


def build() -> Path:
    """The directory of the built tests."""
    root = cache_dir() / "librdkafka"
    sources = root / "package" / "deps" / "librdkafka"
    if not (sources / "tests" / "test-runner").exists():
        root.mkdir(parents=True, exist_ok=True)
        steps = f"""set -e
            npm pack --silent {PACKAGE}
            tar xzf confluentinc-kafka-javascript-*.tgz package/deps/librdkafka
            cd package/deps/librdkafka
            chmod +x configure lds-gen.py tests/*.sh
            ./configure
            make -j2 libs
            make -C tests -j2 build"""
        log = root / "build.log"
        with log.open("wb") as out:
            if subprocess.run(["bash", "-c", steps], cwd=root, stdout=out, stderr=out, check=False).returncode != 0:
                sys.exit(
                    f"librdkafka does not build, see {log}; it wants zlib1g-dev libssl-dev libzstd-dev "
                    "libsasl2-dev libcurl4-openssl-dev rapidjson-dev"
                )
    return sources / "tests"


def numbers(tests: Path) -> list[str]:
    """Every test by its number. Those from 8000 on are for hand: they wait, or never end."""
    return sorted({path.name[:4] for path in tests.iterdir() if re.match(r"[0-7]\d{3}[-_].*\.(c|cpp)$", path.name)})


def run(tests: Path, number: str, bootstrap: str, logs: Path) -> str:
    """The outcome of one number, with all the tests that carry it."""
    config = logs / "test.conf"
    shim = Path(__file__).resolve().parent / "kafka_shim"
    env = {
        **os.environ,
        "RDKAFKA_TEST_CONF": str(config),
        "TEST_KAFKA_VERSION": "4.4.0",
        "BROKERS": bootstrap,
        "KAFKA_PATH": str(shim),
        "PYTHON": sys.executable,
        "LD_LIBRARY_PATH": "../src:../src-cpp",
        "TEST_LEVEL": "1",
        "TESTS": number,
        "RDKAFKA_GITVER": "x",
    }
    log = logs / f"{number}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["./test-runner", "-p1", "-L", "-K", "-E"],
            cwd=tests,
            env=env,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "timeout"
    verdicts = {verdict for _name, verdict in VERDICT.findall(log.read_text(errors="replace"))}
    if code != 0 or "FAILED" in verdicts:
        return "failed"
    return "passed" if "PASSED" in verdicts else "skipped"


def main() -> int:
    parser = suite.parser(__doc__)
    parser.add_argument("--logs", type=Path, default=Path("/tmp/librdkafka-tests"))
    parser.add_argument("numbers", nargs="*")
    arguments = parser.parse_args()
    tests = build()
    chosen = arguments.numbers or numbers(tests)
    logs = arguments.logs / arguments.target
    logs.mkdir(parents=True, exist_ok=True)
    with suite.broker(arguments.target, {}) as broker:
        (logs / "test.conf").write_text(
            f"bootstrap.servers={broker.bootstrap}\nbroker.address.family=v4\ntest.timeout.multiplier=2\n"
        )
        with ThreadPoolExecutor(3) as pool:
            outcomes = dict(zip(chosen, pool.map(lambda n: run(tests, n, broker.bootstrap, logs), chosen), strict=True))
    for number, outcome in outcomes.items():
        print(number, outcome)
    return suite.conclude(outcomes, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
