#!/usr/bin/env python3
"""A TCP proxy that is as slow as a network: bytes arrive later, and no more of them a second than the line takes.

    shaping.py PORT TARGET-PORT --ms 25 --mb-per-second 200

Each direction of each connection is delayed by `--ms`; what comes back from the target shares one line of
`--mb-per-second`. The kernel's own shaper is not in every kernel.
"""

import argparse
import collections
import socket
import threading
import time

CHUNK = 256 << 10
# What is under way in one direction of a connection: enough that the delay alone does not limit it.
UNDER_WAY = 64 << 20


class Line:
    """A line that several connections share."""

    def __init__(self, bytes_per_second: float) -> None:
        self.rate = bytes_per_second
        self.free_at = 0.0
        self.lock = threading.Lock()

    def carry(self, count: int, ready: float) -> float:
        """When the last of `count` bytes, which may leave at `ready`, has passed."""
        with self.lock:
            self.free_at = max(self.free_at, ready) + count / self.rate
            return self.free_at


class Direction:
    """Bytes from one socket to another, late."""

    def __init__(self, source: socket.socket, sink: socket.socket, delay: float, line: Line | None) -> None:
        self.source, self.sink, self.delay, self.line = source, sink, delay, line
        self.queue: collections.deque = collections.deque()
        self.bytes = 0
        self.change = threading.Condition()
        for work in (self.receive, self.send):
            threading.Thread(target=work, daemon=True).start()

    def receive(self) -> None:
        while True:
            try:
                chunk = self.source.recv(CHUNK)
            except OSError:
                chunk = b""
            now = time.monotonic()
            due = (self.line.carry(len(chunk), now) if self.line else now) + self.delay
            with self.change:
                self.queue.append((due, chunk))
                self.bytes += len(chunk)
                self.change.notify_all()
                self.change.wait_for(lambda: self.bytes < UNDER_WAY)
            if not chunk:
                return

    def send(self) -> None:
        while True:
            with self.change:
                self.change.wait_for(lambda: self.queue)
                due, chunk = self.queue.popleft()
                self.bytes -= len(chunk)
                self.change.notify_all()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not chunk:
                    self.sink.shutdown(socket.SHUT_WR)
                    return
                self.sink.sendall(chunk)
            except OSError:
                self.source.close()
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int)
    parser.add_argument("--ms", type=float, default=25.0, help="delay of each direction")
    parser.add_argument("--mb-per-second", type=float, default=200.0)
    options = parser.parse_args()
    line = Line(options.mb_per_second * 1e6)
    delay = options.ms / 1e3
    with socket.create_server(("127.0.0.1", options.port), backlog=512) as listener:
        while True:
            client, _ = listener.accept()
            target = socket.create_connection(("127.0.0.1", options.target))
            for end in (client, target):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Direction(client, target, delay, None)
            Direction(target, client, delay, line)


if __name__ == "__main__":
    main()
