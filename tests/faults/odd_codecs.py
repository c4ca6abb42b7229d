#!/usr/bin/env python3
"""Batches compressed with all that encoders leave open: windows up to 128 MiB, several frames, no sizes, all checksums.

Each goes to a topic that compacts, whose records are looked at, is read back by its offset byte for byte, and is found by its
time, from memory and from the bucket. What Kafka's own readers refuse is refused; on a topic that has its compressed batches
left closed it is stored, and stops nothing.
"""

import gzip
import socket
import struct
import sys
import time

import cramjam
import lz4.frame
import zstandard
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from harness import QUIET, Broken, Broker, arguments, run_suite
from raw_batch import batch, varint
from raw_fetch import fetch
from raw_produce import NONE, answers, connect, produce

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
COMPACTED, CLOSED = "compacted", "closed"
INVALID_RECORD = 87
START = int(time.time() * 1000) - 3_600_000
# More than one block of lz4, and of zstd.
VALUE = b"0123456789abcdef" * 20_000


def record():
    body = b"\0\0\0" + varint(1) + b"k" + varint(len(VALUE)) + VALUE + b"\0"
    return varint(len(body)) + body


def zstd_streamed(content, **parameters):
    made = zstandard.ZstdCompressionParameters.from_level(parameters.pop("level", 3), **parameters)
    compressor = zstandard.ZstdCompressor(compression_params=made).compressobj()
    parts = [content[at : at + 50_000] for at in range(0, len(content), 50_000)]
    return b"".join(compressor.compress(part) for part in parts) + compressor.flush()


def encodings(content):
    """(name, codec, bytes)"""
    half = len(content) // 2
    zstd = zstandard.ZstdCompressor
    for level in (1, 19, 20, 21, 22):
        yield f"zstd {level}", ZSTD, zstd(level=level).compress(content)
        yield f"zstd {level}, streamed", ZSTD, zstd_streamed(content, level=level)
    for window in (23, 24, 25, 26, 27):
        yield f"zstd, a window of 2^{window}", ZSTD, zstd_streamed(content, window_log=window)
    yield "zstd, a checksum", ZSTD, zstd(write_checksum=True, write_content_size=False).compress(content)
    yield "zstd, two frames", ZSTD, zstd().compress(content[:half]) + zstd().compress(content[half:])
    skippable = struct.pack("<II", 0x184D2A50, 3) + b"abc"
    yield "zstd, an empty frame and a skippable one", ZSTD, zstd().compress(b"") + skippable + zstd().compress(content)
    for size in (4, 5, 6, 7):
        made = lz4.frame.compress(content, block_linked=False, block_size=size, store_size=False)
        yield f"lz4, blocks of size {size}", LZ4, made
    yield "lz4, all checksums and the size", LZ4, lz4.frame.compress(
        content, block_linked=False, content_checksum=True, block_checksum=True, store_size=True
    )
    yield "gzip, two members", GZIP, gzip.compress(content[:half]) + gzip.compress(content[half:])
    yield "gzip, zeros behind it", GZIP, gzip.compress(content) + bytes(64)
    yield "snappy, bare", SNAPPY, bytes(cramjam.snappy.compress_raw(content))
    chunks = [bytes(cramjam.snappy.compress_raw(content[at : at + 100_000])) for at in range(0, len(content), 100_000)]
    framed = b"".join(struct.pack(">i", len(chunk)) + chunk for chunk in chunks)
    yield "snappy, framed", SNAPPY, b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + framed


def refused_by_java(content):
    """(name, codec, bytes)"""
    for window in (28, 30):
        yield f"zstd, a window of 2^{window}", ZSTD, zstd_streamed(content, window_log=window)
    yield "lz4, linked blocks", LZ4, lz4.frame.compress(content, block_linked=True, block_size=4)


class Suite:
    def __init__(self, broker):
        self.broker = broker
        # (topic, offset) to (name, time, body)
        self.sent = {}

    def send(self, topic, name, codec, body, expected=NONE):
        when = START + 1000 * len(self.sent)
        content = batch(b"", attributes=codec, first_time=when, last_time=when, body=body)
        with connect(self.broker) as connection:
            produce(connection, [(topic, 0, content)])
            ((code, offset),) = answers(connection)
        if code != expected:
            raise Broken(f"{name}: is answered with {code} on the topic {topic}, not {expected}")
        if code == NONE:
            self.sent[topic, offset] = (name, when, body)

    def judge(self, tier):
        host, port = self.broker.kafka.rsplit(":", 1)
        # One that knew the broker before its restart may still think it away.
        admin = AdminClient({"bootstrap.servers": self.broker.kafka, **QUIET})
        for (topic, offset), (name, when, body) in self.sent.items():
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                code, _, content = fetch(connection, topic, 0, offset, 1)
            base = struct.unpack_from(">q", content)[0] if content else None
            if code != NONE or base != offset or content[61 : 61 + len(body)] != body:
                raise Broken(f"{tier}: {name}: offset {offset} is answered with {code}, a batch at {base}")
            found = admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.for_timestamp(when)})
            at = next(iter(found.values())).result(30)
            if (at.offset, at.timestamp) != (offset, when):
                raise Broken(f"{tier}: {name}: {when} is found at {at.offset}, {at.timestamp} in place of {offset}")


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        broker = Broker(options.program, directory / "data", directory / "esker.log")
        try:
            broker.start()
            broker.create_topic(COMPACTED, 1, {"cleanup.policy": "compact", "max.message.bytes": "10000000"})
            broker.create_topic(CLOSED, 1, {"esker.validate.compressed": "false"})
            odd = Suite(broker)
            for name, codec, body in encodings(record()):
                odd.send(COMPACTED, name, codec, body)
            odd.send(CLOSED, "what can be opened", ZSTD, zstandard.ZstdCompressor().compress(record()))
            for name, codec, body in refused_by_java(record()):
                odd.send(COMPACTED, name, codec, body, INVALID_RECORD)
                odd.send(CLOSED, name, codec, body)
            odd.judge("memory")
            broker.call("v1/tier/flush")
            broker.stop()
            broker.start()
            broker.call("v1/cache/clear")
            odd.judge("the bucket")
            broker.stop()
        finally:
            broker.kill()
        return {"batches": len(odd.sent)}, []

    return run_suite("odd_codecs", suite)


if __name__ == "__main__":
    sys.exit(main())
