"""Which APIs a broker says that it serves, asked on a bare socket."""

import socket
import struct

from harness.target import Target

_API_VERSIONS = 18


def served(broker: Target) -> dict[int, tuple[int, int]]:
    """Lowest and highest version by API key, from ApiVersions version 0."""
    host, port = broker.bootstrap.split(":")
    client_id = b"conformance"
    request = struct.pack(">hhih", _API_VERSIONS, 0, 1, len(client_id)) + client_id
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _read(connection, 4))
        answer = _read(connection, size)
    correlation_id, error, count = struct.unpack_from(">ihi", answer)
    assert (correlation_id, error) == (1, 0), answer
    entries = struct.iter_unpack(">hhh", answer[10 : 10 + 6 * count])
    return {key: (lowest, highest) for key, lowest, highest in entries}


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, "connection closed"
        data += piece
    return data
