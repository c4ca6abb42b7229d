"""node-rdkafka: librdkafka under Node.js. Its program is `javascript/node_rdkafka.js`."""

from pathlib import Path

import pytest

from harness import tools
from harness.driver import Driver
from harness.driver_cases import *  # noqa: F403

NODE = tools.require_program("node")
MODULES = tools.require_built("javascript/node_modules/node-rdkafka/build/Release", "needs npm and a C++ compiler")
PROGRAM = Path(__file__).parent / "javascript" / "node_rdkafka.js"
SETTINGS = {"auto.create.topics.enable": "false"}


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_PATH", str(tools.cache_dir() / "javascript" / "node_modules"))


@pytest.fixture
def driver() -> Driver:
    codecs, verbs = ("none", "gzip", "snappy", "lz4"), frozenset({"group", "errors"})
    # Empty bytes go out as null, and header values come back as text.
    return Driver((NODE, str(PROGRAM)), codecs, verbs=verbs, binary_headers=False, empty_bytes=False)
