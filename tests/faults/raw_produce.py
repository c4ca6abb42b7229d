"""An idempotent producer of its own, with Produce requests: clients hide what they are told."""

import socket
import struct
import time

from harness import Broken
from raw_fetch import recv_all

PRODUCE, INIT_PRODUCER_ID = 0, 22
NONE, TIMED_OUT, OUT_OF_ORDER, STORAGE_ERROR = 0, 7, 45, 56


def crc32c_table():
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ 0x82F63B78 if number & 1 else number >> 1
        yield number


CRC_TABLE = list(crc32c_table())


def crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(number):
    """A number that is not negative, as records write it."""
    number, content = number << 1, b""
    while number >= 0x80:
        number, content = number >> 7, content + bytes([number & 0x7F | 0x80])
    return content + bytes([number])


def batch(producer, sequence, value):
    """A batch of one record."""
    record = b"\0\0\0\x01" + varint(len(value)) + value + b"\0"
    record = varint(len(record)) + record
    now = int(time.time() * 1000)
    tail = struct.pack(">hiqqqhii", 0, 0, now, now, *producer, sequence, 1) + record
    body = struct.pack(">ibI", 0, 2, crc32c(tail)) + tail
    return struct.pack(">qi", 0, len(body)) + body


def send(connection, key, version, body):
    request = struct.pack(">hhih", key, version, 1, 3) + b"raw" + body
    connection.sendall(struct.pack(">i", len(request)) + request)


def receive(connection):
    return recv_all(connection, struct.unpack(">i", recv_all(connection, 4))[0])


def connect(broker):
    host, port = broker.kafka.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def new_producer(connection):
    """(id, epoch)"""
    send(connection, INIT_PRODUCER_ID, 0, struct.pack(">hi", -1, 60000))
    code, *producer = struct.unpack_from(">hqh", receive(connection), 8)
    if code:
        raise Broken(f"no producer id: {code}")
    return producer


def produce(connection, topic, producer, partition, sequence, value, timeout_ms):
    """Sends one batch with acks=all; its answer is to be read later, in the order of the requests."""
    content = batch(producer, sequence, value)
    body = struct.pack(">hhiih", -1, -1, timeout_ms, 1, len(topic)) + topic.encode()
    send(connection, PRODUCE, 7, body + struct.pack(">iii", 1, partition, len(content)) + content)


def answer(connection, topic):
    """(error code, base offset)"""
    return struct.unpack_from(">hq", receive(connection), 4 + 4 + 2 + len(topic) + 4 + 4)
