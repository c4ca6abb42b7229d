"""Names that each broker chooses itself: topic ids, member ids, producer ids, sessions.

Both sides' names for one thing are bound together when they first stand at the same place of two answers. From then on they
are one name in comparisons, and requests use each side's own.
"""

from dataclasses import dataclass, field

# Fields of answers and requests that carry such a name, and its kind.
KINDS = {
    "topic_id": "topic",
    "member_id": "member",
    "leader": "member",
    "producer_id": "producer",
    "session_id": "session",
    "group_instance_id": None,
}
# What is no name although it stands there.
PLAIN = {None, "", bytes(16), -1, 0}


@dataclass(frozen=True)
class Known:
    """A name in a request: the number of a pair, of one kind."""

    kind: str
    number: int


@dataclass
class Registry:
    pairs: dict[str, list[tuple]] = field(default_factory=dict)
    # Names and ids of topics that brokers write for themselves.
    internal: set = field(default_factory=lambda: {"__consumer_offsets", "__transaction_state"})

    def is_internal(self, topic: dict) -> bool:
        """Whether a struct of an answer is of an internal topic; the ids of those are noted where they are told."""
        if topic.get("is_internal") and topic.get("topic_id", bytes(16)) != bytes(16):
            self.internal.add(topic["topic_id"])
        names = [topic.get(name) for name in ("topic", "name", "topic_id")]
        return any(isinstance(name, str | bytes) and name in self.internal for name in names)

    def of(self, kind: str) -> list[Known]:
        return [Known(kind, number) for number in range(len(self.pairs.get(kind, [])))]

    def resolve(self, value, side: int):
        """A request with each side's own names."""
        if isinstance(value, Known):
            return self.pairs[value.kind][value.number][side]
        if isinstance(value, dict):
            return {name: self.resolve(item, side) for name, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, side) for item in value]
        return value

    def number_of(self, kind: str, value, side: int) -> int | None:
        for number, pair in enumerate(self.pairs.get(kind, [])):
            if pair[side] == value:
                return number
        return None

    def bind(self, kind: str, first, second) -> None:
        """Notes that both are names of one thing, unless either is known as something else."""
        if first in PLAIN or second in PLAIN:
            return
        if self.number_of(kind, first, 0) is None and self.number_of(kind, second, 1) is None:
            self.pairs.setdefault(kind, []).append((first, second))

    def symbol(self, kind: str, value, side: int):
        """How a name is compared: the number of its pair, or as one that is new."""
        if value in PLAIN:
            return value
        number = self.number_of(kind, value, side)
        return f"<new {kind}>" if number is None else f"<{kind} {number}>"
