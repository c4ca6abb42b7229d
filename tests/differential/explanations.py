"""The differences that are meant, each with its reason, from `explanations.toml`; and their table in the documentation."""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from comparing import Difference

FILE = Path(__file__).resolve().parent / "explanations.toml"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- differential: begin -->", "<!-- differential: end -->"


@dataclass
class Explanation:
    api: re.Pattern
    path: re.Pattern
    kafka: re.Pattern
    esker: re.Pattern
    what: str
    reason: str
    met: Counter = field(default_factory=Counter)

    def fits(self, difference: Difference) -> bool:
        return all(
            getattr(self, name).fullmatch(getattr(difference, name)) for name in ("api", "path", "kafka", "esker")
        )


def read() -> list[Explanation]:
    anything = ".*"
    return [
        Explanation(
            *(re.compile(each.get(name, anything), re.DOTALL) for name in ("api", "path", "kafka", "esker")),
            each["what"],
            each["reason"],
        )
        for each in tomllib.loads(FILE.read_text())["difference"]
    ]


def table() -> str:
    rows = [f"| {each.what} | {each.reason} |" for each in read()]
    return "\n".join([BEGIN, "| Difference | Reason |", "|---|---|", *rows, END])


def documented() -> str:
    """The document with the table as it should be."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    return before + table() + rest.partition(END)[2]
