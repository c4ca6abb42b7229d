"""Requests as they are, without a client that makes something of them: any field may be null, empty, twice or wrong.

The messages are kafka-python's, made from Apache Kafka's definitions; what is not named has Kafka's default.
"""

import importlib
import socket
import struct
import time
from types import TracebackType
from typing import Any

from harness.target import Target

_MODULES = ("admin", "consumer", "metadata", "producer")
_PATIENCE_S = 30.0


class Closed(Exception):
    """The broker closed the connection instead of answering."""


def _message(name: str) -> Any:
    for module in _MODULES:
        found = getattr(importlib.import_module(f"kafka.protocol.{module}"), name, None)
        if found is not None:
            return found
    raise AssertionError(f"kafka-python has no message {name}")


def _fill(kind: Any, fields: dict[str, Any], version: int) -> Any:
    """A structure from a dictionary; lists of dictionaries become lists of structures."""
    made = {}
    for name, value in fields.items():
        field = kind.fields[name]
        if field.is_struct_array() and value is not None:
            value = [_fill(field.data_class, item, version) for item in value]
        elif field.is_struct() and value is not None:
            value = _fill(field.data_class, value, version)
        made[name] = value
    return kind(version=version, **made)


class Raw:
    """One connection."""

    def __init__(self, broker: Target, client_id: str = "raw") -> None:
        host, port = broker.bootstrap.split(":")
        self._client_id = client_id
        self._socket = socket.create_connection((host, int(port)), timeout=_PATIENCE_S)
        self._correlation_id = 0
        self._awaited: list[tuple[int, Any, int]] = []

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._socket.close()

    def send(self, api: str, version: int, **fields: Any) -> None:
        """Sends a request; `receive` brings its answer, in the order of the requests."""
        self._correlation_id += 1
        request = _fill(_message(f"{api}Request"), fields, version)
        request.with_header(self._correlation_id, self._client_id)
        self._socket.sendall(bytes(request.encode(version=version, header=True, framed=True)))
        self._awaited.append((self._correlation_id, _message(f"{api}Response"), version))

    def receive(self) -> dict[str, Any]:
        expected, response, version = self._awaited.pop(0)
        (size,) = struct.unpack(">i", self._read(4))
        frame = self._read(size)
        (correlation_id,) = struct.unpack_from(">i", frame)
        assert correlation_id == expected
        return response.decode(frame, version=version, header=True).to_dict(json=False)

    def ask(self, api: str, version: int, **fields: Any) -> dict[str, Any]:
        self.send(api, version, **fields)
        return self.receive()

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise Closed
            data += piece
        return data


def ask(broker: Target, api: str, version: int, **fields: Any) -> dict[str, Any]:
    """One request on a connection of its own."""
    with Raw(broker) as connection:
        return connection.ask(api, version, **fields)


def batch(value: bytes, key: bytes | None = b"key") -> bytes:
    """A batch of one record of now."""
    from kafka.record.default_records import DefaultRecordBatchBuilder

    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    builder.append(0, int(time.time() * 1000), key, value, [])
    return bytes(builder.build())
