"""Waiting for conditions; no suite sleeps and hopes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 30.0
_PAUSE_S = 0.02


def wait_for(condition: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """Polls `condition` until it returns something true and returns that; fails with `what` otherwise."""
    deadline = time.monotonic() + patience_s
    while True:
        outcome = condition()
        if outcome:
            return outcome
        assert time.monotonic() < deadline, f"waited {patience_s:g} s for {what}; last answer: {outcome!r}"
        time.sleep(_PAUSE_S)
