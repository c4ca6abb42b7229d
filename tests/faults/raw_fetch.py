"""Reads partitions with Fetch requests of its own: clients hide errors by asking again."""

import socket
import struct

FETCH, VERSION = 1, 4
BATCH_HEADER = 61


def recv_all(connection, count):
    content = b""
    while len(content) < count:
        piece = connection.recv(count - len(content))
        if not piece:
            raise ConnectionError("the broker closed the connection")
        content += piece
    return content


def fetch(connection, topic, partition, offset, bytes_max):
    """(error code, high watermark, record bytes)"""
    body = struct.pack(">iiiib", -1, 0, 1, bytes_max, 0)
    body += struct.pack(">ih", 1, len(topic)) + topic.encode() + struct.pack(">iiqi", 1, partition, offset, bytes_max)
    request = struct.pack(">hhih", FETCH, VERSION, 1, 3) + b"raw" + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    answer = recv_all(connection, struct.unpack(">i", recv_all(connection, 4))[0])
    # Correlation id, throttle time, one topic, its name, one partition, its number.
    at = 4 + 4 + 4 + 2 + len(topic) + 4 + 4
    code, watermark, _, aborted = struct.unpack_from(">hqqi", answer, at)
    at += 22 + 16 * max(aborted, 0)
    size = struct.unpack_from(">i", answer, at)[0]
    return code, watermark, answer[at + 4 : at + 4 + max(size, 0)]


def varint(content, at):
    shift = value = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def records(content):
    """(offset, value) of all records of whole, uncompressed batches; checksums are not looked at."""
    at = 0
    while at + BATCH_HEADER <= len(content):
        base, length = struct.unpack_from(">qi", content, at)
        end = at + 12 + length
        if end > len(content):
            return
        count = struct.unpack_from(">i", content, at + 57)[0]
        place = at + BATCH_HEADER
        for _ in range(count):
            size, place = varint(content, place)
            following = place + size
            _, inner = varint(content, place + 1)
            delta, inner = varint(content, inner)
            key, inner = varint(content, inner)
            inner += max(key, 0)
            length, inner = varint(content, inner)
            yield base + delta, content[inner : inner + length]
            place = following
        at = end


def read_partition(address, topic, partition, start=0, bytes_max=1 << 20):
    """What is served from `start` on, and the error that ended it: (offset to value, code or None)."""
    host, port = address.rsplit(":", 1)
    found, offset = {}, start
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        while True:
            code, watermark, content = fetch(connection, topic, partition, offset, bytes_max)
            if code:
                return found, code
            batch = dict(records(content))
            if not batch:
                # The end, or a hole that is told by nobody.
                return found, None if offset >= watermark else -1
            found.update((at, value) for at, value in batch.items() if at >= offset)
            offset = max(batch) + 1
