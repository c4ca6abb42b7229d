"""The differences that are meant, each with its reason, from `explanations.toml`; and their table in the documentation."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hints
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
    # Fields of the request of which one has a value that fits.
    request: dict[str, re.Pattern]
    # Whether the request has to name something more than once.
    twice: bool
    what: str
    reason: str
    met: Counter = field(default_factory=Counter)

    def fits(self, difference: Difference, request: dict | None) -> bool:
        """Of a request that was spoiled after it was made nothing is known."""
        return all(
            getattr(self, name).fullmatch(getattr(difference, name)) for name in ("api", "path", "kafka", "esker")
        ) and (request is None or self.fits_request(request))

    def fits_request(self, request: dict) -> bool:
        values = list(fields(request))
        said = all(
            any(name == wanted and pattern.fullmatch(str(value)) for name, value in values)
            for wanted, pattern in self.request.items()
        )
        return said and (not self.twice or any(names_twice(value) for _, value in values))


def fields(value: dict) -> Iterator[tuple[str, object]]:
    """Every field of a request, with those of the structs in it, and each value of a list by itself, too."""
    for name, item in value.items():
        yield name, item
        for each in item if isinstance(item, list) else [item]:
            if isinstance(each, dict):
                yield from fields(each)
            elif isinstance(item, list):
                yield name, each


def names_twice(items: object) -> bool:
    if not isinstance(items, list):
        return False
    naming = [name for name in hints.NAMING if name != "member_id"]
    names = [str([item.get(name) for name in naming if name in item] if isinstance(item, dict) else item) for item in items]
    return len(set(names)) < len(names)


def read() -> list[Explanation]:
    anything = ".*"
    return [
        Explanation(
            *(re.compile(each.get(name, anything), re.DOTALL) for name in ("api", "path", "kafka", "esker")),
            {name: re.compile(pattern, re.DOTALL) for name, pattern in each.get("request", {}).items()},
            each.get("twice", False),
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
