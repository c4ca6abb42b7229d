"""rskafka: a Rust client without C and without groups. Its program is `rust/src/rskafka_driver.rs`."""

import pytest

from harness import tools
from harness.driver import Driver
from harness.driver_cases import *  # noqa: F403
from harness.records import CODECS

PROGRAM = tools.require_built("rust/release/rskafka-driver", "needs Rust")
SETTINGS = {"auto.create.topics.enable": "false"}


@pytest.fixture
def driver() -> Driver:
    verbs = frozenset({"times", "errors"})
    return Driver((str(PROGRAM),), CODECS, verbs=verbs, repeated_headers=False, ordered_headers=False)
