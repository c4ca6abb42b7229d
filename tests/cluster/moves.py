#!/usr/bin/env python3
"""Partitions move between three servers under load: one topic, for balance, because a server is drained, stopped, or comes back.

An idempotent producer with acks=all writes to all partitions all the time. Nobody is killed, so no record may be refused, and the
gap of a move is the longest time between two acknowledgements of one partition around it.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from harness import Broken, arguments, check, read_all, run_suite, wait_until  # noqa: E402
from kill_brokers import Placed, gap_ms, wait_written  # noqa: E402
from three_brokers import PATIENCE_S, Cluster, create, leaders  # noqa: E402

TOPIC, PARTITIONS = "moves", 12
# The bar for a planned move is 300 ms; on a machine that builds beside it takes longer, and beyond this the suite fails.
GAP_MAX_S = 3


class Cli:
    """The command line, which asks one of the servers."""

    def __init__(self, program, server):
        self.program, self.server = program, server

    def run(self, *words, want=0):
        command = [self.program, *words, "--admin", self.server.admin]
        told = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        if told.returncode != want:
            raise Broken(f"{' '.join(words)} ended with {told.returncode}: {told.stdout}{told.stderr}")
        return told.stdout

    def rows(self, *words, want=0):
        return json.loads(self.run(*words, "-o", "json", want=want))

    def broker(self, node):
        return next(row for row in self.rows("broker", "list") if row["id"] == node)


def settle(cluster, wanted, what):
    """Waits until the topic is led as `wanted` says of the counts by server."""
    wait_until(
        lambda: wanted(leaders(cluster.kafka, TOPIC)),
        PATIENCE_S,
        lambda: f"{what}: it is led by {dict(leaders(cluster.kafka, TOPIC))}",
    )


def measured(cluster, load, gaps, what, act, wanted):
    """Does something that moves partitions; notes how long one of them was not written."""
    wait_written([load], 20, f"before {what}")
    began = time.monotonic()
    act()
    settle(cluster, wanted, what)
    wait_written([load], 20, f"after {what}")
    gaps[what] = gap_ms(load, began)


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        cluster = Cluster(options.program, directory)
        one, two, three = cluster.servers
        # What moves by itself would move in between.
        for server in cluster.servers:
            server.settings["auto.leader.rebalance.enable"] = "false"
        gaps, load = {}, None
        try:
            cluster.start()
            cli = Cli(options.program, one)
            cli.run("cluster", "health", "--wait", "30")
            create(cluster.kafka, TOPIC, PARTITIONS)
            load = Placed(cluster, TOPIC, PARTITIONS, options.seed).start()
            for _ in range(options.rounds):
                measured(
                    cluster, load, gaps, "topic move",
                    lambda: cli.run("topic", "move", TOPIC, "--to", "2"), lambda led: led[2] == PARTITIONS,
                )  # fmt: skip
                measured(
                    cluster, load, gaps, "partition move",
                    lambda: cli.run("topic", "move", f"{TOPIC}:5", "--to", "3"), lambda led: led[3] == 1,
                )  # fmt: skip
                planned = cli.rows("cluster", "balance", "--dry-run")
                if {row["from"] for row in planned} != {2} or leaders(cluster.kafka, TOPIC)[2] != PARTITIONS - 1:
                    raise Broken(f"a dry run moved partitions, or planned nonsense: {planned}")
                measured(
                    cluster, load, gaps, "balance",
                    lambda: cli.run("cluster", "balance"), lambda led: set(led.values()) == {PARTITIONS // 3},
                )  # fmt: skip
                measured(
                    cluster, load, gaps, "drain",
                    lambda: cli.run("broker", "drain", "3"), lambda led: led[3] == 0,
                )  # fmt: skip
                drained = cli.broker(3)
                if (drained["state"], drained["leads"], drained["holds"]) != ("drained", 0, 0):
                    raise Broken(f"a drained broker is told of as {drained}")
                began = time.monotonic()
                three.stop()
                gaps["stop of a drained server"] = round((time.monotonic() - began) * 1000)
                wait_until(lambda: cli.broker(3)["state"] == "fenced", PATIENCE_S, "a stopped server is not missed")
                reasons = [row["reason"] for row in cli.rows("cluster", "health", want=4)["findings"]]
                if "broker-dead" not in reasons:
                    raise Broken(f"a broker is away, and the reasons are {reasons}")
                cli.run("broker", "remove", "3", "--yes")
                if [row["id"] for row in cli.rows("broker", "list")] != [1, 2]:
                    raise Broken("a broker that was removed is listed")
                three.start()
                cli.run("cluster", "health", "--wait", "30")
                measured(
                    cluster, load, gaps, "balance with one more",
                    lambda: cli.run("cluster", "balance"), lambda led: set(led.values()) == {PARTITIONS // 3},
                )  # fmt: skip
                # A restart of each, one after the other, as for an upgrade.
                for server in cluster.servers:
                    wait_written([load], 20, f"before {server.node} is stopped")
                    began = time.monotonic()
                    server.stop()
                    wait_written([load], 20, f"while {server.node} is stopped")
                    server.start()
                    Cli(options.program, server).run("cluster", "health", "--wait", "30")
                    gaps[f"stop of {server.node}"] = gap_ms(load, began)
            cli.run("topic", "move", "nothing", "--to", "2", want=3)
            cli.run("topic", "move", TOPIC, "--to", "9", want=3)
            cli.run("topic", "move", f"{TOPIC}:99", "--to", "1", want=3)
            cli.run("broker", "drain", "9", want=3)
            load.stop()
            known = load.known()
            check(known, read_all(cluster, TOPIC, PARTITIONS), "after the moves")
            stops = []
            for server in cluster.servers:
                began = time.monotonic()
                server.stop()
                stops.append(round(time.monotonic() - began, 1))
        finally:
            if load:
                load.ending.set()
            cluster.kill()
        problems = [f"{what}: {gap} ms" for what, gap in gaps.items() if gap > GAP_MAX_S * 1000]
        problems += [f"{len(known[1])} records were refused"] if known[1] else []
        figures = {"gap_ms": gaps, "stops_s": stops, "acknowledged": len(known[0]), "lost": 0, "doubled": 0}
        return figures, problems

    return run_suite("moves", suite)


if __name__ == "__main__":
    sys.exit(main())
