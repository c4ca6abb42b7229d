"""Records that the suites produce, in shapes that have gone wrong somewhere."""

from dataclasses import dataclass, field

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Sample:
    """One record, as far as every client can express it."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = field(default=())


def samples(count: int = 200, null_headers: bool = True) -> list[Sample]:
    """Keys and values that are null, empty, text, no text, and long; headers that repeat, and that are empty or null."""
    null = None if null_headers else b""
    shapes = [
        lambda i: Sample(b"key-%d" % i, b"value-%d" % i),
        lambda i: Sample(None, b"no key %d" % i),
        lambda i: Sample(b"tombstone-%d" % i, None),
        lambda i: Sample(b"", b""),
        lambda i: Sample(b"binary-%d" % i, bytes(range(256)) * 3),
        lambda i: Sample(b"long-%d" % i, b"%d;" % i * 4000),
        lambda i: Sample(b"header-%d" % i, b"h", (("trace", b"%d" % i), ("trace", b"again"), ("empty", b""))),
        lambda i: Sample(b"null-header-%d" % i, b"h", (("null", null), ("\u00fcml\u00e4ut", b"\xff\x00"))),
    ]
    return [shapes[i % len(shapes)](i) for i in range(count)]
