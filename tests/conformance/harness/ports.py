"""Ports that nobody listens on."""

import random
import socket

# Below the range from which the kernel picks ports of outgoing connections, so that no client sits on one
# while a broker restarts.
_FIRST, _LAST = 15_000, 30_000


def free_port() -> int:
    """A port on 127.0.0.1 that could be bound a moment ago."""
    while True:
        port = random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
