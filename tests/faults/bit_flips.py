#!/usr/bin/env python3
"""Flips single bits in everything that the broker keeps: write-ahead log, metadata log and snapshot, markers, disk cache,
objects and manifests in the bucket. What was acknowledged is known; no other byte may ever be served.

A flip in a file of the start ends in a start that serves all that was acknowledged, or in a refusal: exit code 2 and one
line that names the file. A flip in an object or in the cache ends in the right bytes or in an error code for its
records; in the cache it has to be the right bytes, for the object has them. Nothing is left out without an error.
"""

import random
import shutil
import sys
from collections import Counter

from harness import Broken, Broker, Load, arguments, run_suite
from raw_fetch import read_partition

TOPIC, PARTITIONS = "bit-flips", 3
# Share of the flips by what is hit; the rest goes to objects.
AT_START = 0.25
IN_CACHE = 0.15
# What a reader is told of a damaged object.
CORRUPT_MESSAGE = 2


def truth_of(load):
    """Values by partition and offset."""
    truth = {partition: {} for partition in range(PARTITIONS)}
    for (partition, offset), value in load.acknowledged.items():
        truth[partition][offset] = value
    return truth


def judge_reading(broker, truth, where, errors_allowed=True):
    """Reads everything; the codes that were answered."""
    codes = Counter()
    for partition, expected in truth.items():
        offset, end = 0, max(expected) + 1
        while offset < end:
            found, code = read_partition(broker.kafka, TOPIC, partition, offset)
            wrong = [at for at, value in found.items() if at in expected and expected[at] != value]
            if wrong:
                raise Broken(f"{where}: wrong bytes were served at {partition}/{wrong[:3]}")
            reached = max(found) + 1 if found else offset
            missing = [at for at in range(offset, min(reached, end)) if at not in found]
            if missing or (code == -1) or (code is None and reached < end):
                raise Broken(f"{where}: records are left out without an error at {partition}/{missing[:3] or reached}")
            if code is not None:
                codes[code] += 1
                if not errors_allowed:
                    raise Broken(f"{where}: error {code} at {partition}/{reached}, although nothing that it needs is damaged")
                # What lies behind the damage may be read.
                reached += 200
            offset = reached
    return codes


def flip(path, chance):
    """Flips one bit and answers where; and how to take it back."""
    position = chance.randrange(path.stat().st_size)
    bit = chance.randrange(8)
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ (1 << bit)]))

    def undo():
        with path.open("r+b") as file:
            file.seek(position)
            file.write(bytes([byte]))

    return f"byte {position} bit {bit} of {path.name}", undo


def kinds_at_start(data):
    """Files of the start by kind. Of the log's bytes most are zeros that wait for use: its flips go where records are."""
    return {
        "wal": sorted((data / "wal").glob("seg-*")),
        "wal-store": [data / "wal" / "STORE"],
        "metadata-log": sorted((data / "metadata").glob("log-*")),
        "metadata-snapshot": [path for path in [data / "metadata" / "snapshot"] if path.exists()],
        "identity": [data / "identity.json"],
    }


def used_end(path):
    """Position after the last byte that is not zero."""
    return len(path.read_bytes().rstrip(b"\0"))


def flip_at_start(broker, truth, base, work, kind, chance, tally):
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    path = chance.choice(kinds_at_start(work)[kind])
    if kind == "wal":
        content = bytearray(path.read_bytes())
        position = chance.randrange(used_end(path))
        content[position] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        where = f"byte {position} of {path.name}"
    else:
        where, _ = flip(path, chance)
    log_at = broker.log_size()
    broker.spawn()
    try:
        broker.wait_ready()
    except Broken:
        said = broker.log_since(log_at)
        lines = [line for line in said.splitlines() if line.startswith("esker: ")]
        named = lines and (path.name in lines[0] or str(path.parent) in lines[0])
        if broker.process.returncode != 2 or len(lines) != 1 or not named or "panicked" in said:
            raise Broken(
                f"{kind}, {where}: the broker ended with {broker.process.returncode} and said {lines or said[-300:]}"
            ) from None
        tally[f"{kind}: refused"] += 1
        return
    try:
        # What is served after a flip in these is served whole.
        judge_reading(broker, truth, f"{kind}, {where}", errors_allowed=False)
        tally[f"{kind}: no harm"] += 1
    finally:
        broker.kill()


def main():
    options = arguments(__doc__, 60)
    chance = random.Random(options.seed)

    def suite(directory):
        data, bucket = directory / "data", directory / "bucket"
        settings = {
            "esker.wal.segment.bytes": 1 << 20,
            "esker.wal.capacity.bytes": 8 << 20,
            "esker.flush.ms": 3600000,
            "esker.metadata.snapshot.entries": 20,
            "esker.cache.memory.bytes": 1 << 20,
            "esker.cache.disk.bytes": 64 << 20,
        }
        broker = Broker(options.program, data, directory / "esker.log", settings, bucket=f"file://{bucket}")
        tally = Counter()
        try:
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=1000).start()
            # Many small objects, and a tail that only the log has.
            for _ in range(12):
                load.wait_for(300)
                broker.call("v1/tier/flush")
            load.wait_for(400)
            load.stop()
            broker.kill()
            truth = truth_of(load)
            if load.unplaced:
                raise Broken("a broker without faults does not say where records are")
            base, base_bucket = directory / "base", directory / "base-bucket"
            shutil.copytree(data, base)
            shutil.copytree(bucket, base_bucket)

            kinds = [kind for kind, paths in kinds_at_start(base).items() if paths]
            for number in range(int(options.rounds * AT_START)):
                # Whatever a start does to the bucket is undone.
                shutil.rmtree(bucket)
                shutil.copytree(base_bucket, bucket)
                flip_at_start(broker, truth, base, data, kinds[number % len(kinds)], chance, tally)

            shutil.rmtree(data)
            shutil.copytree(base, data)
            shutil.rmtree(bucket)
            shutil.copytree(base_bucket, bucket)
            broker.start()
            broker.call("v1/tier/flush")
            broker.stop()
            broker.start()
            judge_reading(broker, truth, "before the flips", errors_allowed=False)
            cached = [path for path in (data / "cache").rglob("*") if path.is_file() and used_end(path)]
            for _ in range(int(options.rounds * IN_CACHE) if cached else 0):
                path = chance.choice(cached)
                position = chance.randrange(used_end(path))
                with path.open("r+b") as file:
                    file.seek(position)
                    byte = file.read(1)[0]
                    file.seek(position)
                    file.write(bytes([byte ^ (1 << chance.randrange(8))]))
                broker.stop()
                broker.start()
                judge_reading(broker, truth, f"cache, byte {position} of {path.name}", errors_allowed=False)
                tally["cache: right bytes"] += 1
            for _ in range(options.rounds - sum(tally.values())):
                objects = [path for path in bucket.rglob("*") if path.is_file() and "-" in path.name and path.parent.parent.name == "d"]
                path = chance.choice(objects)
                where, undo = flip(path, chance)
                broker.call("v1/cache/clear")
                codes = judge_reading(broker, truth, f"object, {where}")
                if set(codes) - {CORRUPT_MESSAGE}:
                    raise Broken(f"object, {where}: {codes}, and not CORRUPT_MESSAGE only")
                tally[f"object: {'errors' if codes else 'no harm'}"] += 1
                for code, count in codes.items():
                    tally[f"code {code}"] += count
                undo()
                if not broker.runs():
                    raise Broken(f"object, {where}: the broker ended: {broker.last_lines()}")
            broker.call("v1/cache/clear")
            judge_reading(broker, truth, "after the flips", errors_allowed=False)
            broker.stop()
        finally:
            broker.kill()
        codes = {name: count for name, count in tally.items() if name.startswith("code")}
        ends = {name: count for name, count in tally.items() if name not in codes}
        figures = {"flips": sum(ends.values()), "seed": options.seed, "ends": ends, "codes": codes, "served_wrong": 0}
        return figures, []

    return run_suite("bit-flips", suite)


if __name__ == "__main__":
    sys.exit(main())
