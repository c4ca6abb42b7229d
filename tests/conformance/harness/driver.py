"""Programs in other languages that drive a broker: `PROGRAM BOOTSTRAP VERB TOPIC [WORD...]`, JSON on standard output.

The verbs are the same for all of them, and so are the cases in `driver_cases`:

    create N             makes the topic with N partitions
    produce CODEC ACKS   sends the records on standard input (JSON lines) and prints a list of their offsets
    read START COUNT     prints COUNT records of partition 0, from an offset on
    group COUNT          prints COUNT records as a member of the group `group-TOPIC`, commits them, and leaves
    rebalance N          lets two members share the N partitions, and then one have them all
    times AT...          prints the offsets of timestamps, and then those of start, end, stable end, and newest record
    admin                walks through the admin APIs and prints what it saw
    errors               prints the names of the errors that mistakes are answered with

Bytes are in base64.
"""

import base64
import json
from dataclasses import dataclass

from harness import tools
from harness.records import Sample
from harness.target import Target


def _encode(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


@dataclass(frozen=True)
class Driver:
    """A program and what its client can express."""

    command: tuple[str, ...]
    codecs: tuple[str, ...]
    null_headers: bool = False
    verbs: frozenset[str] = frozenset({"group", "rebalance", "times", "admin", "errors"})
    repeated_headers: bool = True
    binary_headers: bool = True
    empty_bytes: bool = True
    # Whether headers keep their order; a client with a map of them may not.
    ordered_headers: bool = True

    def ask(self, broker: Target, verb: str, topic: str, *words: object, stdin: str = "") -> list:
        """What the program printed."""
        done = tools.run([*self.command, broker.bootstrap, verb, topic, *map(str, words)], stdin)
        return [json.loads(line) for line in done.lines]

    def produce(
        self, broker: Target, topic: str, records: list[Sample], codec: str = "none", acks: str = "all"
    ) -> list:
        lines = [
            json.dumps(
                {
                    "key": _encode(record.key),
                    "value": _encode(record.value),
                    "headers": [[name, _encode(value)] for name, value in record.headers],
                    "partition": 0,
                }
            )
            for record in records
        ]
        (offsets,) = self.ask(broker, "produce", topic, codec, acks, stdin="\n".join(lines) + "\n")
        return offsets

    def read(self, broker: Target, topic: str, start: int, count: int) -> list[tuple[int, Sample]]:
        """Offsets and records."""
        return [_record(shown) for shown in self.ask(broker, "read", topic, start, count)]

    def group(self, broker: Target, topic: str, count: int) -> list[tuple[int, Sample]]:
        return [_record(shown) for shown in self.ask(broker, "group", topic, count)]


def _record(shown: dict) -> tuple[int, Sample]:
    headers = tuple((name, _decode(value)) for name, value in shown["headers"] or [])
    return shown["offset"], Sample(_decode(shown["key"]), _decode(shown["value"]), headers)
