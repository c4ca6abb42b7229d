"""Ports that nobody listens on."""

import os
import random
import socket

# Below the range from which the kernel picks ports of outgoing connections, so that no client sits on one
# while a broker restarts.
_FIRST, _LAST = 15_000, 30_000
# Who asks listens later, and asks for another port before: none is given twice, nor by two workers of one run.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_given: set[int] = set()


def free_port() -> int:
    """A port on 127.0.0.1 that could be bound a moment ago."""
    while True:
        port = random.randint(_FIRST, _LAST)
        if port in _given or port % _WORKERS != _WORKER:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
