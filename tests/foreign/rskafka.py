#!/usr/bin/env python3
"""rskafka's own integration tests, from its crate."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import suite

from harness.tools import cache_dir

VERSION = "0.6.0"
PATIENCE_S = 1500
VERDICT = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)
# The crate names a toolchain of its own, which need not be installed.
TOOLCHAIN = {"RUSTUP_TOOLCHAIN": "stable"}
OUTCOMES = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


def prepare() -> Path:
    """The sources of the crate, which cargo fetches for the program of our own suite."""
    root = cache_dir() / f"rskafka-{VERSION}"
    if not (root / "Cargo.toml").exists():
        manifest = Path(__file__).resolve().parents[1] / "conformance" / "rust" / "Cargo.toml"
        subprocess.run(["cargo", "fetch", "--locked", "--manifest-path", str(manifest)], check=True)
        home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
        shutil.copytree(next(home.glob(f"registry/src/*/rskafka-{VERSION}")), root)
        # The lock file of the package names a release of rsasl that this compiler refuses.
        subprocess.run(["cargo", "update", "-p", "rsasl"], cwd=root, env={**os.environ, **TOOLCHAIN}, check=True)
    return root


def main() -> int:
    parser = suite.parser(__doc__)
    parser.add_argument("words", nargs="*", help="for cargo test")
    arguments = parser.parse_args()
    root = prepare()
    with suite.broker(arguments.target, {"auto.create.topics.enable": "false"}) as broker:
        env = {
            **os.environ,
            **TOOLCHAIN,
            "TEST_INTEGRATION": "1",
            "TEST_BROKER_IMPL": "kafka",
            "KAFKA_CONNECT": broker.bootstrap,
            "CARGO_TARGET_DIR": str(cache_dir() / "rust"),
        }
        command = ["cargo", "test", "--no-fail-fast", "--test", "*", *arguments.words]
        done = subprocess.run(
            command,
            cwd=root,
            env=env,
            timeout=PATIENCE_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = done.stdout.decode(errors="replace")
    sys.stderr.write(text)
    outcomes = {name: OUTCOMES[verdict] for name, verdict in VERDICT.findall(text)}
    if not outcomes:
        sys.exit("the tests did not build")
    for case, outcome in sorted(outcomes.items()):
        print(case, outcome)
    return suite.conclude(outcomes, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
