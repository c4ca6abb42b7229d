"""rdkafka: librdkafka through async Rust. Its program is `rust/src/rdkafka_driver.rs`."""

import pytest

from harness import tools
from harness.driver import Driver
from harness.driver_cases import *  # noqa: F403
from harness.records import CODECS

PROGRAM = tools.require_built("rust/release/rdkafka-driver", "needs Rust")
SETTINGS = {"auto.create.topics.enable": "false"}


@pytest.fixture
def driver() -> Driver:
    verbs = frozenset({"group", "times", "admin", "errors"})
    return Driver((str(PROGRAM),), CODECS, null_headers=True, verbs=verbs)
