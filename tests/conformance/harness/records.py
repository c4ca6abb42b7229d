"""Records that the suites produce, in shapes that have gone wrong somewhere."""

from dataclasses import dataclass, field

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Sample:
    """One record, as far as every client can express it."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = field(default=())


def samples(
    count: int = 200,
    null_headers: bool = True,
    repeated_headers: bool = True,
    binary_headers: bool = True,
    empty_bytes: bool = True,
) -> list[Sample]:
    """Keys and values that are null, empty, text, no text, and long; headers that repeat, that are empty, and null.

    The flags leave out what a client cannot express.
    """
    binary = b"\xff\x00" if binary_headers else b"text"
    empty = b"" if empty_bytes else b"-"
    null = None if null_headers else b""
    again = "trace" if repeated_headers else "trace-again"
    shapes = [
        lambda i: Sample(b"key-%d" % i, b"value-%d" % i),
        lambda i: Sample(None, b"no key %d" % i),
        lambda i: Sample(b"tombstone-%d" % i, None),
        lambda i: Sample(empty, empty),
        lambda i: Sample(b"binary-%d" % i, bytes(range(256)) * 3),
        lambda i: Sample(b"long-%d" % i, b"%d;" % i * 4000),
        lambda i: Sample(b"header-%d" % i, b"h", (("trace", b"%d" % i), (again, b"again"), ("empty", b""))),
        lambda i: Sample(b"null-header-%d" % i, b"h", (("null", null), ("\u00fcml\u00e4ut", binary))),
    ]
    return [shapes[i % len(shapes)](i) for i in range(count)]
