"""Scenarios that count what a bucket is asked, and what is left in it."""

import time
from collections.abc import Callable
from pathlib import Path

from suite.brokers import Esker
from suite.figures import GB, Figures, metric

# How long what was deleted may take to be gone.
_PATIENCE_S = 120.0


def bucket_cost(megabytes: int, partitions: int) -> Callable[[Path | None], list[Figures]]:
    """Requests to the bucket and bytes on the disk for what is written, and what is left once that is deleted."""

    def run(base: Path | None) -> list[Figures]:
        broker = Esker(base, {"esker.gc.grace.ms": "1000"}).start()
        try:
            broker.create("cost", partitions)
            before = broker.metrics()
            words = ("-d", 600, "--bytes", megabytes * 1_000_000, "--rate", 50e6, "-c", 2, "--acks", 1)
            report = broker.bench("produce", "cost", *words)
            broker.admin("/v1/tier/flush", "POST")
            after = broker.metrics()
            # What was sent is values; what a log has to keep is batches.
            batches = broker.bench("consume", "cost")["bytes"]
            stored = _stored(broker)
            broker.delete("cost")
            end = time.monotonic() + _PATIENCE_S
            while _stored(broker) > stored // 1000 and time.monotonic() < end:
                time.sleep(0.5)
            left, last = _stored(broker), broker.metrics()
        finally:
            broker.discard()
        asked = {name: metric(after, f"bucket_{name}_") - metric(before, f"bucket_{name}_") for name in ("puts", "gets")}
        return [
            {
                "PUT/GB": asked["puts"] / report["bytes"] * GB,
                "GET/GB, writing": asked["gets"] / report["bytes"] * GB,
                "LIST": metric(last, "bucket_lists_") - metric(before, "bucket_lists_"),
                "WAL B/B": (metric(after, "wal_written") - metric(before, "wal_written")) / batches,
                "stored B/B": stored / batches,
                "left after deletion B/B": left / batches,
            }
        ]

    return run


def _stored(broker: Esker) -> int:
    total = 0
    for path in broker.bucket.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            pass  # Deleted meanwhile.
    return total
