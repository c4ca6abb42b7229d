"""What a suite is run against."""

from collections.abc import Iterator
from typing import Protocol


class Target(Protocol):
    """One broker that clients connect to."""

    name: str
    bootstrap: str

    def make_cold(self) -> None:
        """Leaves the records of all topics in the bucket and nowhere else, and restarts the broker."""

    def warmths(self) -> Iterator[str]:
        """`hot`, and then, where the target has a bucket, `cold` after `make_cold`."""

    def stop(self) -> None:
        """Stops the broker and judges what it logged."""
