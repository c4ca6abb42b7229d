"""Frames that are no whole request: versions and keys that nobody has, bodies cut short, bytes behind them."""

from random import Random

import schema

# Removed ones, ones between controllers, and what never was.
KEYS = (4, 5, 6, 7, 52, 58, 93, 200, 999, -1, 32767)
NOTHING = schema.Message((0, 0), schema.span("none"), [])


def unknown(random: Random) -> tuple[schema.Api, int, bytes]:
    return schema.Api("a key that is not served", random.choice(KEYS), NOTHING, NOTHING), random.choice((0, 1, 99, -1)), b""


def spoiled(
    random: Random, api: schema.Api, span: tuple[int, int], version: int, body: bytes, same: bool
) -> tuple[int, bytes]:
    """(version, body) of which one is not as it should be; `same` tells whether both sides are sent this very body."""
    kind = random.choice(("version", "cut", "behind", *(("flipped",) if same else ())))
    if kind == "version":
        return random.choice((span[1] + 1, span[0] - 1, 99, -1, 32767)), body
    if kind == "cut":
        return version, body[: random.randrange(len(body))] if body else body
    if kind == "behind":
        return version, body + bytes(random.choice((1, 4, 100)))
    if not body:
        return version, body
    at = random.randrange(len(body))
    return version, body[:at] + bytes([body[at] ^ 1 << random.randrange(8)]) + body[at + 1 :]
