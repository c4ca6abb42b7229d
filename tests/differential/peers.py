"""A connection to each broker, and frames in both directions."""

import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import schema  # noqa: E402

# An answer that takes longer is none. Nothing that is asked waits longer by itself.
PATIENCE_S = 4.0
API_VERSIONS = 18
CLOSED, SILENT = "the connection is closed", "no answer"


@dataclass
class Answer:
    """What came back: a message, or in place of it what happened."""

    outcome: str
    value: dict | None = None


class Peer:
    """One broker as a client sees it; a connection that was closed is opened again."""

    def __init__(self, bootstrap: str) -> None:
        host, port = bootstrap.split(":")
        self.address = (host, int(port))
        self.connection: socket.socket | None = None
        self.correlation = 0

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def send(self, key: int, version: int, flexible: bool, client: str | None, body: bytes) -> None:
        if self.connection is None:
            self.connection = socket.create_connection(self.address, timeout=PATIENCE_S)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation += 1
        name = struct.pack(">h", -1) if client is None else struct.pack(">h", len(client.encode())) + client.encode()
        frame = struct.pack(">hhi", key, version, self.correlation) + name + (b"\0" if flexible else b"") + body
        try:
            self.connection.sendall(struct.pack(">i", len(frame)) + frame)
        except OSError:
            # Told when the answer is read.
            pass

    def read(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            piece = self.connection.recv(count - len(content))
            if not piece:
                raise ConnectionError
            content += piece
        return content

    def receive(self, api: schema.Api, version: int) -> Answer:
        try:
            frame = self.read(struct.unpack(">i", self.read(4))[0])
        except TimeoutError:
            self.close()
            return Answer(SILENT)
        except OSError:
            self.close()
            return Answer(CLOSED)
        if struct.unpack_from(">i", frame)[0] != self.correlation:
            self.close()
            return Answer("the correlation id of another request")
        at = 4
        if api.response.is_flexible(version) and api.key != API_VERSIONS:
            at = 5
            if frame[4]:
                return Answer(f"a header with {frame[4]} tagged fields")
        try:
            return Answer("answered", schema.decode(api.response, version, frame[at:]))
        except (schema.Undecodable, struct.error, UnicodeDecodeError, MemoryError) as error:
            return Answer(f"an answer that is not version {version}: {error}")

    def ask(self, api: schema.Api, version: int, value: dict) -> Answer:
        """What a client does that asks again: a connection may have gone since the last request."""
        body, flexible = schema.encode(api.request, version, value), api.request.is_flexible(version)
        for _ in range(3):
            self.send(api.key, version, flexible, "differential", body)
            answer = self.receive(api, version)
            if answer.value is not None:
                return answer
        raise ConnectionError(f"{self.address} does not answer {api.name}: {answer.outcome}")
