"""Requests from the schema: each field takes an ordinary or an odd value of its pool, by its name where one is named here."""

import hints
from batches import records
from identity import KINDS, Registry
from random import Random
from schema import Api, Field

# By type, for fields without a pool of their own: ordinary first, then what nobody expects.
PLAIN = {
    "i8": ((0, 1), (-1, 2, 127, -128)),
    "i16": ((0, 1), (-1, 2, 32767, -32768)),
    "i32": ((0, 1), (-1, 2, 2**31 - 1, -(2**31))),
    "i64": ((0, 1), (-1, 2, 2**63 - 1, -(2**63))),
    "u16": ((0, 1), (65535,)),
    "f64": ((0.0, 1.0), (float("inf"), -1.0)),
    "bool": ((False, True), (True,)),
    "string": (("a", "b"), ("", "x" * 300, "ä ö", "a\0b", "..")),
    "uuid": ((bytes(16),), (bytes(15) + b"\1", b"\xff" * 16)),
    "bytes": ((b"", b"metadata"), (b"\0\0\0\0", b"\xff" * 40)),
}


class Maker:
    """Makes requests; `oddness` is how often a field takes an odd value."""

    def __init__(self, random: Random, registry: Registry) -> None:
        self.random, self.registry = random, registry
        self.oddness = 0.0

    def request(self, api: Api, version: int) -> dict:
        # Most requests are ordinary but for a field or two: what is wrong twice tells little.
        self.oddness = self.random.choice((0.0, 0.0, 0.03, 0.1, 0.3))
        return self.fields(api, api.request.fields, version)

    def is_odd(self) -> bool:
        return self.random.random() < self.oddness

    def fields(self, api: Api, fields: list[Field], version: int) -> dict:
        return {
            each.name: self.field(api, each, version)
            for each in fields
            if each.has(version) and (each.tag is None or self.random.random() < 0.1)
        }

    def field(self, api: Api, each: Field, version: int):
        pools = hints.POOLS.get(f"{api.name}.{each.name}") or hints.POOLS.get(each.name)
        if each.may_be_null(version) and self.random.random() < hints.NULLS.get(each.name, 0.1):
            return None
        if not each.is_array:
            return self.single(api, each, version, pools)
        count = self.random.choice((0, 1, 1, 1, 2, 3) if not self.is_odd() else (0, 2, 5))
        items = [self.single(api, each, version, pools) for _ in range(count)]
        # What is named twice is odd; what is named twice by chance would be most of what is found.
        distinct = list({repr(self.key(item)): item for item in items}.values())
        if distinct and self.is_odd():
            distinct.append(distinct[0])
        return distinct

    @staticmethod
    def key(item):
        """What names an item of a list: its first field that is a name or a number of something."""
        if not isinstance(item, dict):
            return item
        return [value for name, value in item.items() if name in hints.NAMING]

    def single(self, api: Api, each: Field, version: int, pools):
        if each.kind == "records":
            return records(self.random)
        if each.fields:
            made = self.fields(api, each.fields, version)
            hint = hints.TOGETHER.get(f"{api.name}.{each.name}")
            if hint is not None and not self.is_odd():
                made |= {name: value for name, value in hint(self.random).items() if name in made}
            return made
        kind = KINDS.get(each.name)
        if kind and self.registry.of(kind) and self.random.random() < 0.8:
            return self.random.choice(self.registry.of(kind)[-12:])
        ordinary, odd = pools or PLAIN[each.kind]
        return self.random.choice(odd if odd and self.is_odd() else ordinary)
