#!/usr/bin/env python3
"""`esker dev --brokers 3`: a table of three brokers, records that outlive a kill of one and a restart of all, an orderly stop.

Bad input is refused with a sentence: one broker's directory, another number of brokers, ports that are not known.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from harness import Broken, arguments, free_port, run_suite, wait_until  # noqa: E402

PATIENCE_S = 30


def free_ports(count):
    """The first of so many ports that nobody listens on, and those that brokers reach each other by."""
    while True:
        base = free_port()
        try:
            for port in (*range(base, base + count), *range(base + 100, base + 100 + count)):
                socket.create_server(("127.0.0.1", port)).close()
        except (OSError, OverflowError):
            continue
        return base


class Dev:
    """The processes, as a user sees them."""

    def __init__(self, program, data):
        self.program, self.data = program, data
        self.kafka, self.admin = free_ports(3), free_ports(3)
        self.process = None

    def command(self, *words):
        addresses = ["--kafka-addr", f"127.0.0.1:{self.kafka}", "--admin-addr", f"127.0.0.1:{self.admin}"]
        return [self.program, "dev", "--data-dir", str(self.data), *addresses, *words]

    def start(self):
        """Starts it; answers the table that it prints when all serve."""
        self.process = subprocess.Popen(self.command("--brokers", "3"), stdout=subprocess.PIPE, text=True)
        return [self.process.stdout.readline().split() for _ in range(4)]

    def refused(self, words, *options):
        told = subprocess.run(self.command(*options), capture_output=True, text=True, timeout=30, check=False)
        if told.returncode != 2 or any(word not in told.stderr for word in words):
            raise Broken(f"{options} ended with {told.returncode}: {told.stderr}")

    def run(self, *words, lines=None):
        environment = {
            **os.environ,
            "ESKER_BROKERS": f"127.0.0.1:{self.kafka},127.0.0.1:{self.kafka + 2}",
            "ESKER_ADMIN": f"127.0.0.1:{self.admin + 2}",
        }
        told = subprocess.run(
            [self.program, *words], capture_output=True, text=True, input=lines, timeout=90, check=False, env=environment
        )
        if told.returncode != 0:
            raise Broken(f"{' '.join(words)} ended with {told.returncode}: {told.stdout}{told.stderr}")
        return told.stdout

    def children(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return sorted(int(pid) for pid in found.stdout.split())

    def stop(self):
        children, began = self.children(), time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
        if code != 0 or left:
            raise Broken(f"a stop ended with {code} and left {left}")
        return round(time.monotonic() - began, 1)


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        dev = Dev(options.program, directory / "data")
        try:
            began = time.monotonic()
            table = dev.start()
            started = round(time.monotonic() - began, 1)
            ports = [row[1] for row in table[1:]]
            if table[0][:3] != ["BROKER", "KAFKA", "ADMIN"] or ports != [f"127.0.0.1:{dev.kafka + n}" for n in range(3)]:
                raise Broken(f"the table is {table}")
            dev.run("cluster", "health", "--wait", "30")
            dev.run("topic", "create", "dev", "--partitions", "6")
            before = "".join(f"before {number}\n" for number in range(300))
            dev.run("topic", "produce", "dev", lines=before)
            killed = dev.children()[1]
            os.kill(killed, signal.SIGKILL)
            dev.run("topic", "produce", "dev", "--idempotent", lines="".join(f"while {number}\n" for number in range(300)))
            wait_until(lambda: len(dev.children()) == 3, PATIENCE_S, "a killed broker is not started again")
            dev.run("cluster", "health", "--wait", "30")
            first_stop = dev.stop()
            dev.refused(["--brokers 3"], "--brokers", "2")
            dev.start()
            read = dev.run("topic", "consume", "dev", "--offset", ":end", "--format", "%v\\n").splitlines()
            if sorted(read) != sorted([*before.splitlines(), *(f"while {number}" for number in range(300))]):
                raise Broken(f"{len(read)} records are read, not the 600 that were written")
            stops = [first_stop, dev.stop()]
        finally:
            if dev.process and dev.process.poll() is None:
                for pid in dev.children():
                    os.kill(pid, signal.SIGKILL)
                dev.process.kill()
        (directory / "one").mkdir()
        (directory / "one" / "identity.json").write_text("{}")
        dev.data = directory / "one"
        dev.refused(["directory of one broker", "--data-dir"], "--brokers", "3")
        dev.data, dev.kafka = directory / "other", 0
        dev.refused(["ports that are known"], "--brokers", "3")
        return {"started_s": started, "stops_s": stops, "records": len(read)}, []

    return run_suite("dev-cluster", suite)


if __name__ == "__main__":
    sys.exit(main())
