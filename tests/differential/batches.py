"""Record batches for requests, odd ones among them, and what is compared of those in answers."""

import gzip
import struct
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from raw_batch import NOBODY, batch, crc32c, varint  # noqa: E402

# Fixed, so that lookups by time can ask for it, and recent, so that nothing expires.
TIME = int(time.time() * 1000) - 3_600_000
HEADER = 61


def records(random: Random, producer=NOBODY) -> bytes | None:
    """The content of a `records` field."""
    value, when = random.choice((b"", b"v", b"x" * 200)), TIME + random.randrange(1000) * 1000
    times = {"first_time": when, "last_time": when}
    plain = batch(value, producer, **times)
    ordinary = (
        lambda: plain,
        lambda: keyed(value, when, producer),
        lambda: several(random, when, producer),
        lambda: compressed(value, when, producer),
    )
    odd = (
        lambda: None,
        lambda: b"",
        lambda: plain[: random.randrange(len(plain))],
        lambda: plain + plain,
        lambda: plain + b"behind",
        lambda: plain[:-1] + bytes([plain[-1] ^ 1]),
        lambda: plain[:16] + bytes([random.choice((0, 1, 3, 255))]) + plain[17:],
        lambda: batch(value, producer, **times, attributes=random.choice((0x10, 0x20, 0x30, 5, 7, 0x8, 0x40, 0x80))),
        lambda: batch(value, producer, **times, last=random.choice((1, -1, 5)), count=1),
        lambda: batch(value, producer, **times, count=random.choice((0, 2, -1)), last=0),
        lambda: batch(value, producer, **times, base=random.choice((1, 7, 2**40))),
        lambda: batch(value, producer, first_time=when, last_time=random.choice((-1, 0, when + 5_000))),
        lambda: batch(value, producer, first_time=-1, last_time=-1),
        lambda: batch(value, producer, first_time=when + 10**11, last_time=when + 10**11),
        lambda: batch(value, producer, **times, attributes=random.choice((1, 2, 3, 4))),
        lambda: batch(value, producer, **times, body=random.choice((b"", b"\xff" * 9, b"\0", varint(100) + b"\0" * 5))),
        lambda: batch(value, (7, 0, random.choice((-1, 0, 5))), **times),
    )
    return random.choice(ordinary if random.random() < 0.7 else odd)()


def record(key: bytes | None, value: bytes | None, delta: int, later: int) -> bytes:
    body = b"\0" + varint(later) + varint(delta)
    for each in (key, value):
        body += b"\x01" if each is None else varint(len(each)) + each
    body += b"\0"
    return varint(len(body)) + body


def keyed(value: bytes, when: int, producer) -> bytes:
    return batch(b"", producer, first_time=when, last_time=when, body=record(b"k", value, 0, 0))


def several(random: Random, when: int, producer) -> bytes:
    """Three records whose times are in no order."""
    times = [0, *(random.randrange(1000) for _ in range(2))]
    body = b"".join(record(b"k", b"%d" % at, at, later) for at, later in enumerate(times))
    return batch(b"", producer, first_time=when, last_time=when + max(times), last=2, count=3, body=body)


def compressed(value: bytes, when: int, producer) -> bytes:
    body = gzip.compress(record(b"k", value, 0, 0), mtime=0)
    return batch(b"", producer, first_time=when, last_time=when, attributes=1, body=body)


def described(content: bytes | None):
    """What is compared of records in an answer. Codecs write one content in several ways, so bytes of compressed records
    are not."""
    if content is None:
        return None
    found, at = [], 0
    while at + HEADER <= len(content):
        base, length, epoch, magic, crc, attributes, last, first_time, last_time, *producer, count = struct.unpack_from(
            ">qiibIhiqqqhii", content, at
        )
        whole = content[at : at + 12 + length]
        body = "compressed" if attributes & 7 else whole[HEADER:].hex()
        found.append(
            {
                "base_offset": base,
                "leader_epoch": epoch,
                "magic": magic,
                "attributes": attributes,
                "last_offset_delta": last,
                "first_timestamp": first_time,
                "max_timestamp": last_time,
                "producer": producer,
                "count": count,
                "body": body,
                "checksum": "right" if crc == crc32c(whole[21:]) else "wrong",
            }
        )
        at += 12 + length
    if at != len(content):
        found.append({"base_offset": "behind", "body": len(content) - at})
    return found
