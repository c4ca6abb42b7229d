#!/usr/bin/env python3
"""terraform/examples/local-minio on a real MinIO: applied, used by a client, planned again, killed, repeated, destroyed.

Bad input is refused with a sentence. At the end no process and no file is left.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from confluent_kafka import Consumer, Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import QUIET, Broken, Skipped, arguments, run_suite, wait_until  # noqa: E402

EXAMPLE = Path(__file__).resolve().parents[2] / "terraform/examples/local-minio"
RECORDS = 500


def free_base():
    """A base_port whose ports nobody listens on: below those that the kernel hands out itself."""
    while True:
        base = random.randrange(20000, 31000)
        try:
            for offset in (*range(3), *range(100, 103), *range(500, 503), 800):
                socket.create_server(("127.0.0.1", base + offset)).close()
        except OSError:
            continue
        return base


BASE_PORT = free_base()


class Terraform:
    """The example in a copy of its own, so that state and plans of others are not touched."""

    def __init__(self, directory, program, minio):
        self.module, self.work = directory / "module", directory / "work"
        shutil.copytree(EXAMPLE, self.module, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "work"))
        self.values = {"esker_binary": program, "minio_binary": minio, "work_dir": self.work, "base_port": BASE_PORT}
        self.environment = {name: value for name, value in os.environ.items() if name != "TF_CLI_CONFIG_FILE"}
        self.run("init", "-input=false")

    def command(self, verb, *words, **values):
        variables = [f"-var={name}={value}" for name, value in {**self.values, **values}.items()]
        named = variables if verb in ("apply", "plan", "destroy") else []
        return ["terraform", f"-chdir={self.module}", verb, *words, *(["-no-color"] if verb != "output" else []), *named]

    def run(self, verb, *words, want=0, **values):
        told = subprocess.run(
            self.command(verb, *words, **values),
            capture_output=True, text=True, timeout=150, check=False, env=self.environment,
        )  # fmt: skip
        if told.returncode != want:
            raise Broken(f"terraform {verb} ended with {told.returncode}: {(told.stdout + told.stderr)[-900:]}")
        return " ".join((told.stdout + told.stderr).replace("│", " ").split())

    def refused(self, sentence, verb="apply", **values):
        words = ("-auto-approve",) if verb == "apply" else ()
        told = self.run(verb, *words, want=1, **values)
        if sentence not in told:
            raise Broken(f"{values} was refused without {sentence!r}: {told[-600:]}")

    def kill_apply(self):
        """Kills an apply (-9) as soon as its first process has been started."""
        command = self.command("apply", "-auto-approve")
        apply = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=self.environment, start_new_session=True)
        wait_until((self.work / "run/minio.pid").exists, 60, "MinIO of the apply that is killed")
        os.killpg(apply.pid, signal.SIGKILL)
        apply.wait()

    def destroy(self):
        """Destroys, and looks whether anything is left."""
        self.run("destroy", "-auto-approve")
        if self.work.exists() or processes(self.work):
            raise Broken(f"destroy left {processes(self.work)}")


def processes(directory):
    """Processes whose command line names the directory."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in words and int(each.parent.name) != os.getpid():
            found.append(words.replace("\0", " "))
    return found


def produce_and_read(bootstrap):
    """A client makes a topic, sends records to it and reads them back."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    admin.create_topics([NewTopic("first", 3, 1)])["first"].result(30)
    failed, producer = [], Producer({"bootstrap.servers": bootstrap, **QUIET})
    for number in range(RECORDS):
        producer.produce("first", str(number), on_delivery=lambda error, _: failed.append(error) if error else None)
    if producer.flush(30) or failed:
        raise Broken(f"records were not acknowledged: {failed[:3]}")
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest", **QUIET})
    consumer.subscribe(["first"])
    seen, deadline = set(), time.monotonic() + 30
    while len(seen) < RECORDS and time.monotonic() < deadline:
        seen |= {message.value() for message in consumer.consume(RECORDS, 0.5) if message.error() is None}
    consumer.close()
    if seen != {str(number).encode() for number in range(RECORDS)}:
        raise Broken(f"{len(seen)} of {RECORDS} records were read")


def whole_way(terraform):
    terraform.refused("Say brokers=1 or brokers=3", brokers=5)
    terraform.refused("from 1024 to 64000", base_port=80)
    terraform.refused("there is no MinIO at", minio_binary="/nowhere/minio")
    with socket.create_server(("127.0.0.1", BASE_PORT + 1)):
        terraform.refused(f"port {BASE_PORT + 1} is in use")
    if terraform.work.exists():
        raise Broken("an apply that was refused has made the work directory")
    terraform.kill_apply()
    terraform.destroy()
    began = time.monotonic()
    terraform.kill_apply()
    terraform.run("apply", "-auto-approve")
    bootstrap = json.loads(terraform.run("output", "-json"))["bootstrap_servers"]["value"]
    produce_and_read(bootstrap)
    first_s = round(time.monotonic() - began, 1)
    terraform.run("plan", "-detailed-exitcode")
    terraform.refused("was founded with other values", brokers=1)
    secrets = [(terraform.work / "run" / name).read_text() for name in ("store-secret", "cluster-secret")]
    seen_by_others = [(terraform.module / "terraform.tfstate").read_text(), *processes(terraform.work)]
    if any(secret in text for secret in secrets for text in seen_by_others):
        raise Broken("a secret is in the state or in the list of processes")
    terraform.destroy()
    return {"to_the_first_records_s": first_s, "records": RECORDS, "left": 0}


def main():
    options = arguments(__doc__, 1)
    places = [str(Path.home() / each) for each in (".cache/esker-tests/bin", "go/bin")]
    minio = shutil.which("minio") or shutil.which("minio", path=os.pathsep.join(places))

    def suite(_):
        for name, found in (("terraform", shutil.which("terraform")), ("minio", minio)):
            if not found:
                raise Skipped(f"there is no {name} on this machine")
        with tempfile.TemporaryDirectory(prefix="esker-deploy-") as directory:
            terraform = Terraform(Path(directory), os.path.abspath(options.program), minio)
            try:
                return whole_way(terraform), []
            finally:
                clean = {**os.environ, "work_dir": str(terraform.work), "program": str(terraform.module / "process.sh")}
                subprocess.run([clean["program"], "clean"], check=False, timeout=150, env=clean)

    return run_suite("local-minio", suite)


if __name__ == "__main__":
    sys.exit(main())
