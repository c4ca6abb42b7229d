#!/usr/bin/env python3
"""kafka-python's own integration tests, from its source distribution on PyPI."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import suite

from harness.tools import cache_dir

VERSION = "3.0.12"
PATIENCE_S = 900
# What the tests import beside the package; `py`, `xxhash` and the mocks are not in our own requirements.
EXTRAS = ("pytest-mock==3.15.1", "crc32c", "xxhash", "py")
# The source distribution leaves this module out. With an external broker none of it does anything.
SERVICE = """
class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    close = dump_logs = open

    def wait_for(self, *args, **kwargs):
        pass


class SpawnedService:
    pass
"""


def prepare() -> Path:
    """The directory that has the tests as `test`."""
    root = cache_dir() / f"kafka-python-{VERSION}"
    if not (root / "test" / "service.py").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *EXTRAS], check=True)
        words = ["--no-deps", "--no-binary", ":all:", "-d", str(root), f"kafka-python=={VERSION}"]
        subprocess.run([*pip, "download", *words], check=True)
        with tarfile.open(next(root.glob("*.tar.gz"))) as archive:
            archive.extractall(root, filter="data")
        shutil.move(root / f"kafka_python-{VERSION}" / "test", root / "test")
        (root / "test" / "__init__.py").touch()
        (root / "test" / "service.py").write_text(SERVICE)
    return root


def main() -> int:
    arguments = suite.parser(__doc__).parse_args()
    root = prepare()
    with tempfile.TemporaryDirectory() as directory, suite.broker(arguments.target, {}) as broker:
        report = Path(directory) / "report.xml"
        env = {**os.environ, "KAFKA_VERSION": "4.4.0", "KAFKA_URI": f"kafka://{broker.bootstrap}", "KAFKA_ROOT": "."}
        command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "--timeout", "60", f"--junitxml={report}"]
        own_broker = ("ssl", "sasl")
        ignored = [f"--ignore=test/integration/test_{kind}_integration.py" for kind in own_broker]
        subprocess.run(
            [*command, "test/integration", *ignored],
            cwd=root,
            env=env,
            timeout=PATIENCE_S,
            stdout=sys.stderr,
            check=False,
        )
        outcomes = {}
        for case in ElementTree.parse(report).iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            outcome = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
            outcomes[f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name')}"] = outcome
    for case, outcome in sorted(outcomes.items()):
        print(case, outcome)
    return suite.conclude(outcomes, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
