#!/usr/bin/env python3
"""The bucket takes nothing while one server after the other dies: others take over all the same, and drain it when it is back.

Records of a partition then stand in the journals of several dead registrations, of which none could be drained: who takes over
last finds them all, in the order in which they were written. The killed server comes back before the next one dies. Nothing
acknowledged is lost or doubled; once the bucket takes objects again, everything that stands in journals of the dead is
in it within a minute.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from harness import Load, arguments, check, read_all, run_suite  # noqa: E402
from three_brokers import PATIENCE_S, Cluster, create  # noqa: E402

TOPIC, PARTITIONS = "without-bucket", 6
DRAIN_PATIENCE_S = 60


class Everywhere(Load):
    """`Load` that knows how often each partition was written."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.counts = [0] * self.partitions

    def on_delivery(self, error, message):
        super().on_delivery(error, message)
        if error is None:
            self.counts[message.partition()] += 1

    def wait_everywhere(self, more, what):
        wanted = [count + more for count in self.counts]
        deadline = time.monotonic() + PATIENCE_S
        for partition, count in enumerate(wanted):
            while self.counts[partition] < count:
                self.wait_for(1, max(deadline - time.monotonic(), 0.01), f"{what}: partition {partition} at all")


def close(bucket):
    """Objects of data can be neither written nor read; what a start asks for can."""
    (bucket / "d").write_text("no directory")


def reopen(bucket):
    (bucket / "d").unlink()


def main():
    options = arguments(__doc__, 5)

    def suite(directory):
        cluster, chance, bucket = Cluster(options.program, directory), random.Random(options.seed), directory / "bucket"
        for server in cluster.servers:
            # Nothing leaves the journals before: what a leader needs of the bucket it could not get.
            server.settings.update({"esker.wal.capacity.bytes": 64 << 20, "esker.flush.ms": 600_000, "esker.flush.bytes": 48 << 20})
        load, killed = None, []
        try:
            cluster.start()
            create(cluster.kafka, TOPIC, PARTITIONS)
            load = Everywhere(cluster, TOPIC, PARTITIONS, options.seed, value_max=200, pause_s=0.01, burst=4).start()
            load.wait_everywhere(20, "before the bucket is away")
            close(bucket)
            for _ in range(options.rounds):
                server = chance.choice([each for each in cluster.servers if each.node not in killed[-1:]])
                load.wait_everywhere(5, "before a kill")
                server.kill()
                killed.append(server.node)
                load.wait_everywhere(5, f"with {server.node} away, after {killed}")
                server.start()
                load.wait_everywhere(5, f"with {server.node} back, after {killed}")
            known = load.known()
            check(known, read_all(cluster, TOPIC, PARTITIONS), f"from journals alone, after {killed}")
            reopen(bucket)
            back = time.monotonic()
            for server in cluster.servers:
                server.call("v1/tier/flush", timeout=DRAIN_PATIENCE_S)
            drained_s = round(time.monotonic() - back, 1)
            load.stop()
            check(load.known(), read_all(cluster, TOPIC, PARTITIONS), "after the bucket came back")
            # The last one to stop has no quorum to commit a flush to.
            for server in cluster.servers:
                server.call("v1/tier/flush", timeout=DRAIN_PATIENCE_S)
            for server in cluster.servers:
                server.stop()
        finally:
            if load is not None:
                load.ending.set()
            cluster.kill()
        known = load.known()
        return {"killed": killed, "acknowledged": len(known[0]) + len(known[1]), "lost": 0, "doubled": 0, "drained_s": drained_s}, []

    return run_suite("failover-without-bucket", suite)


if __name__ == "__main__":
    sys.exit(main())
