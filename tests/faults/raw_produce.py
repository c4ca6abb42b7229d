"""Produce requests of our own: clients hide what they are told, and send nothing odd."""

import socket
import struct

from harness import Broken
from raw_fetch import recv_all

PRODUCE, INIT_PRODUCER_ID = 0, 22
NONE, TIMED_OUT, OUT_OF_ORDER, STORAGE_ERROR = 0, 7, 45, 56


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


def produce(connection, parts, timeout_ms=10_000):
    """Sends one request with acks=all for (topic, partition, batch) of each part, of different topics; the answer is to be
    read later, in the order of the requests.
    """
    body = struct.pack(">hhii", -1, -1, timeout_ms, len(parts))
    for topic, partition, content in parts:
        body += struct.pack(">h", len(topic)) + topic.encode()
        body += struct.pack(">iii", 1, partition, len(content)) + content
    send(connection, PRODUCE, 7, body)


def answers(connection, count=1):
    """(error code, base offset) of each part of a request of so many."""
    content, at, told = receive(connection), 8, []
    for _ in range(count):
        # The topic's name, one partition and its number; behind the offset, the time of the append and the log's start.
        at += 2 + struct.unpack_from(">h", content, at)[0] + 4 + 4
        told.append(struct.unpack_from(">hq", content, at))
        at += 2 + 8 + 8 + 8
    return told
