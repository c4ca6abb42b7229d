"""franz-go: the Go client with the widest reach into the protocol. Its program is `go/main.go`."""

import pytest

from harness import tools
from harness.driver import Driver
from harness.driver_cases import *  # noqa: F403
from harness.records import CODECS

PROGRAM = tools.require_built("go/conformance", "needs Go")
SETTINGS = {"auto.create.topics.enable": "false"}


@pytest.fixture
def driver() -> Driver:
    return Driver((str(PROGRAM),), CODECS)
