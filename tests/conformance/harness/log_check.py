"""A broker's log is part of its behaviour: errors fail a suite, and so do warnings that nobody expects."""

import json
from pathlib import Path

# Messages at WARN that mean nothing bad.
EXPECTED_WARNINGS = frozenset(
    {
        # openraft's words for "the one who asked is gone": a client closed its connection while it waited.
        "ProgressResponder.complete_tx.send: is_ok: false",
        # What a suite asks for.
        "connection refused: `max.connections` is reached",
    }
)


def complaints(log: Path) -> list[str]:
    """Lines of a JSON log that should not be there. A line that is no JSON is a panic or a stray print."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            found.append(line)
            continue
        level, message = event.get("level"), event.get("message")
        if level == "ERROR" or (level == "WARN" and message not in EXPECTED_WARNINGS):
            found.append(line)
    return found
