"""Which APIs a broker says that it serves, asked on a bare socket."""

import struct

from harness import raw
from harness.target import Target

API_VERSIONS = 18


def served(broker: Target) -> dict[int, tuple[int, int]]:
    """Lowest and highest version by API key, from ApiVersions version 0."""
    answer = raw.call(broker, API_VERSIONS, 0, b"")
    error, count = struct.unpack_from(">hi", answer)
    assert error == 0, answer
    entries = struct.iter_unpack(">hhh", answer[6 : 6 + 6 * count])
    return {key: (lowest, highest) for key, lowest, highest in entries}


def greet(broker: Target, version: int, cluster: str | None = None, node: int = -1, name: str = "suite") -> int:
    """The error code of the answer to ApiVersions in a flexible version."""
    body = raw.compact(name) + raw.compact("1.0")
    if version >= 5:
        body += raw.compact(cluster) + struct.pack(">i", node)
    answer = raw.call(broker, API_VERSIONS, version, body + b"\0", flexible=True)
    (error,) = struct.unpack_from(">h", answer)
    return error
