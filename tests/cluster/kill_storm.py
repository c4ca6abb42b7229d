#!/usr/bin/env python3
"""Servers are killed (-9) and paused in any order, one or all at once, while others still take over: nothing acknowledged is lost.

Their disks stay, so whatever was acknowledged is there when all have come back, however many were away together. Kills come
without waiting for what the kill before has begun: in the middle of taking over, of registering, of coming back. A paused server
that the others thought dead must acknowledge nothing when it goes on: it ends with code 75, and is started again. An idempotent producer writes
all the time; at the end everything acknowledged is read, once, at the place that was told.
"""

import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from harness import Broken, Load, arguments, check, read_all, run_suite, wait_until  # noqa: E402
from three_brokers import PATIENCE_S, Cluster, create, leaders  # noqa: E402

TOPIC, PARTITIONS = "kill-storm", 9
FENCED = 75
# A paused server is thought dead well before it goes on.
PAUSE_S = 4


def pause(server):
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_S)
    server.process.send_signal(signal.SIGCONT)


def strike(servers, chance, done):
    """One blow: who is hit, and for how long it is away."""
    kind = chance.choices(("one", "two", "all", "pause"), (10, 3, 1, 3))[0]
    done[kind] += 1
    if kind == "pause":
        server = chance.choice(servers)
        pause(server)
        try:
            code = server.wait_end(10)
        except Broken:
            done["survived a pause"] += 1
            return
        if code != FENCED:
            raise Broken(f"server {server.node}, paused, ended with {code}: {server.last_lines()}")
        server.spawn()
        return
    count = {"one": 1, "two": 2, "all": len(servers)}[kind]
    hit = chance.sample(servers, count)
    for server in hit:
        server.kill()
        time.sleep(chance.choice((0, 0, 0.2)))
    time.sleep(chance.choice((0, 0.3, 1.5)))
    for server in hit:
        server.spawn()


def all_ready(servers):
    """Waits until all serve."""

    def ready():
        see_to(servers)
        return all(server.is_ready() for server in servers)

    wait_until(ready, PATIENCE_S * 2, "all servers ready")


def see_to(servers):
    """A server may only end when it is killed, or fenced; that one is started again."""
    for server in servers:
        if not server.runs():
            code = server.process.returncode
            if code != FENCED:
                raise Broken(f"server {server.node} ended with {code}: {server.last_lines(8)}")
            server.spawn()


def main():
    options = arguments(__doc__, 12)

    def suite(directory):
        cluster, chance, done = Cluster(options.program, directory), random.Random(options.seed), Counter()
        load, problems = None, []
        try:
            cluster.start()
            create(cluster.kafka, TOPIC, PARTITIONS)
            load = Load(cluster, TOPIC, PARTITIONS, options.seed).start()
            load.wait_for(200)
            for number in range(options.rounds):
                strike(cluster.servers, chance, done)
                time.sleep(chance.choice((0.05, 0.5, 2)))
                see_to(cluster.servers)
                if number % 4 == 3:
                    all_ready(cluster.servers)
                    load.wait_for(300, PATIENCE_S * 2, f"acknowledgements after {dict(done)}")
            all_ready(cluster.servers)
            wait_until(lambda: sum(leaders(cluster.kafka, TOPIC).values()) == PARTITIONS, PATIENCE_S, "leaders of all partitions")
            load.stop()
            check(load.known(), read_all(cluster, TOPIC, PARTITIONS), "after the storm")
            # The last one to stop has no quorum to commit a flush to.
            for server in cluster.servers:
                server.call("v1/tier/flush")
            for server in cluster.servers:
                server.stop()
        finally:
            if load is not None:
                load.ending.set()
            for server in cluster.servers:
                if server.runs():
                    server.process.send_signal(signal.SIGCONT)
            cluster.kill()
        known = load.known()
        figures = {"strikes": dict(done), "acknowledged": len(known[0]) + len(known[1]), "lost": 0, "doubled": 0}
        return figures, problems

    return run_suite("kill-storm", suite)


if __name__ == "__main__":
    sys.exit(main())
