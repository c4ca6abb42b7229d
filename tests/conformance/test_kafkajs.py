"""kafkajs: the client of most Node.js programs, last released in 2023. Its program is `javascript/kafkajs.js`."""

from pathlib import Path

import pytest

from harness import tools
from harness.driver import Driver
from harness.driver_cases import *  # noqa: F403

NODE = tools.require_program("node")
tools.require_built("javascript/node_modules/kafkajs", "needs npm")
PROGRAM = Path(__file__).parent / "javascript" / "kafkajs.js"
SETTINGS = {"auto.create.topics.enable": "false"}


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_PATH", str(tools.cache_dir() / "javascript" / "node_modules"))


@pytest.fixture
def driver() -> Driver:
    return Driver((NODE, str(PROGRAM)), ("none", "gzip", "snappy"))
