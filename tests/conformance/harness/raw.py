"""Single requests on a bare socket, for what no client lets through."""

import socket
import struct

from harness.target import Target

CLIENT_ID = b"conformance"


def call(broker: Target, key: int, version: int, body: bytes, flexible: bool = False) -> bytes:
    """The body of the answer, headers taken off. `flexible` tells which headers the version has."""
    header = struct.pack(">hhih", key, version, 1, len(CLIENT_ID)) + CLIENT_ID
    with socket.create_connection(address(broker), timeout=10) as connection:
        send(connection, header + (b"\0" if flexible else b"") + body)
        answer = receive(connection)
    (correlation_id,) = struct.unpack_from(">i", answer)
    assert correlation_id == 1, answer
    return answer[4:]


def address(broker: Target) -> tuple[str, int]:
    host, port = broker.bootstrap.split(":")
    return host, int(port)


def send(connection: socket.socket, frame: bytes) -> None:
    connection.sendall(struct.pack(">i", len(frame)) + frame)


def receive(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _read(connection, 4))
    return _read(connection, size)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, "connection closed"
        data += piece
    return data


def string(text: str | None) -> bytes:
    """A string with a length of two bytes."""
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def compact(text: str | None) -> bytes:
    """A string of fewer than 127 bytes as flexible versions write it."""
    return b"\0" if text is None else bytes([len(text) + 1]) + text.encode()
