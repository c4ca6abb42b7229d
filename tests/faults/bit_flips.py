#!/usr/bin/env python3
"""Flips single bits in everything that the broker keeps: write-ahead log, metadata log and snapshot, markers, disk cache,
objects and manifests in the bucket. What was acknowledged is known; no other byte may ever be served.

A flip in a file of the start ends in a start that serves all that was acknowledged, or in a refusal: exit code 2 and one
line that names the file. A flip in an object or in a manifest ends in the right bytes or in an error code for the records
that it lists; nothing is left out without an error. A flip in the cache ends in the right bytes, for the object has them,
and where it hits a chunk that is read it is noticed and counted.
"""

import json
import random
import shutil
import subprocess
import sys
from collections import Counter

from harness import Broken, Broker, Load, arguments, run_suite, wait_until
from raw_fetch import read_partition

TOPIC, PARTITIONS = "bit-flips", 3
# Of another topic, in an object of its own: reading it opens the cache and brings nothing else.
FIRST_READ = "bit-flips-first-read"
# Share of the flips by what is hit; the rest goes to objects.
AT_START = 0.25
IN_CACHE = 0.2
IN_MANIFESTS = 0.1
SETTINGS = {
    "esker.wal.segment.bytes": 1 << 20,
    "esker.wal.capacity.bytes": 8 << 20,
    "esker.flush.ms": 3600000,
    "esker.metadata.snapshot.entries": 20,
    "esker.cache.memory.bytes": 1 << 20,
    "esker.cache.disk.bytes": 256 << 20,
}
# Every flush makes objects of one partition each, which are not merged but listed in manifests.
MANIFESTS = {**SETTINGS, "esker.segment.min.bytes": 1, "esker.housekeeping.interval.ms": 100}
# The metadata holds 64 extents of a partition before it lists the older ones in a manifest.
EXTENTS_INLINE = 64
# What a commit of the log is a multiple of.
PAGE_BYTES = 4096
# What the cache keeps in one piece.
CHUNK_BYTES = 1 << 20
CHUNKS_AT_ONCE = 8
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
    """Files of the start by kind. Of the log's bytes most are zeros that wait for use: its flips go where records are, and
    not into the last commit."""
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


def last_commit(broker, path):
    """Where the last commit of a segment begins. Nothing that was synced later vouches for it: damaged, it cannot be told
    from one that power loss tore."""
    command = [broker.program, "wal", "inspect", "--records", "--output", "json", str(path.parent)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    records = [record["position"] for record in found["records"] if record["file"] == path.name]
    # A commit begins a page; what is left of its last one is padded.
    return max(position for position in records if position % PAGE_BYTES == 0)


def flip_at_start(broker, truth, base, work, kind, chance, tally):
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    path = chance.choice(kinds_at_start(work)[kind])
    if kind == "wal":
        content = bytearray(path.read_bytes())
        position = chance.randrange(last_commit(broker, path))
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


def write(broker, seed, flushes, records):
    """Many small objects, and a tail that only the log has. Answers what was acknowledged, by partition and offset."""
    broker.create_topic(TOPIC, PARTITIONS)
    load = Load(broker, TOPIC, PARTITIONS, seed, value_max=1000).start()
    for _ in range(flushes):
        load.wait_for(records)
        broker.call("v1/tier/flush")
    load.wait_for(400)
    load.stop()
    if load.unplaced:
        raise Broken("a broker without faults does not say where records are")
    return truth_of(load)


def objects_of(bucket, kind):
    """Data objects (`d`) or manifests (`m`)."""
    return sorted(path for path in (bucket / kind).rglob("*-*") if path.is_file())


def start_with_cache(broker):
    """Starts the broker; what is read then comes from the cache's disk."""
    broker.start()
    read_partition(broker.kafka, FIRST_READ, 0)
    wait_until(lambda: broker.metric("esker_cache_disk_bytes") > 0, 20, "the cache opens its disk")


def fill_cache(broker, truth):
    """Reads until all of it comes from the cache's disk: a stop loses what is on its way there."""
    for _ in range(20):
        broker.stop()
        start_with_cache(broker)
        before = broker.metric("esker_cache_misses_total")
        judge_reading(broker, truth, "from the cache", errors_allowed=False)
        if broker.metric("esker_cache_misses_total") == before:
            return
    raise Broken("the cache does not keep what is read")


def chunks(bucket, files):
    """Where the cache's files hold what they were given: places by object."""
    contents = {path: path.read_bytes() for path in files}
    for path in objects_of(bucket, "d"):
        chunk = path.read_bytes()[:CHUNK_BYTES]
        places = []
        for file, content in contents.items():
            at = content.find(chunk)
            while at >= 0:
                places.append((file, at))
                at = content.find(chunk, at + 1)
        if places:
            yield path.name, len(chunk), places


def flip_at(places, position, chance):
    """Flips the same bit at a position behind each of the places."""
    bit = chance.randrange(8)
    for path, at in places:
        with path.open("r+b") as file:
            file.seek(at + position)
            byte = file.read(1)[0]
            file.seek(at + position)
            file.write(bytes([byte ^ (1 << bit)]))


def files_of_cache(broker):
    return [path for path in (broker.data / "cache").rglob("*") if path.is_file() and used_end(path)]


def flip_chunks(broker, truth, bucket, count, chance, tally):
    """A flip in each of some chunks that the cache has: what of it is read is noticed, and the bytes are right."""
    # The cache begins anew: it fills its blocks in turn, and a start empties some when few are free.
    broker.call("v1/cache/clear")
    fill_cache(broker, truth)
    broker.stop()
    hit = chance.sample(list(chunks(bucket, files_of_cache(broker))), count)
    for _, length, places in hit:
        flip_at(places, chance.randrange(length), chance)
    start_with_cache(broker)
    names = [name for name, _, _ in hit]
    judge_reading(broker, truth, f"cache, chunks of {names}", errors_allowed=False)
    noticed = broker.metric("esker_cache_corrupt_total")
    # The cache may have forgotten one meanwhile: a start makes room, a stop loses what is on its way to the disk.
    if not count / 2 < noticed <= count:
        raise Broken(f"cache: of flips in the chunks of {names} {noticed} were noticed")
    tally["cache, in chunks: noticed"] += noticed
    tally["cache, in chunks: forgotten before"] += count - noticed


def flip_in_cache(broker, truth, chance, tally):
    """A flip anywhere in the cache's files."""
    broker.stop()
    path = chance.choice(files_of_cache(broker))
    position = chance.randrange(used_end(path))
    flip_at([(path, position)], 0, chance)
    start_with_cache(broker)
    judge_reading(broker, truth, f"cache, byte {position} of {path.name}", errors_allowed=False)
    tally["cache, anywhere: right bytes"] += 1


def flip_in_bucket(broker, truth, bucket, kind, chance, tally):
    """A flip in an object or in a manifest, which is taken back."""
    what = {"d": "object", "m": "manifest"}[kind]
    where, undo = flip(chance.choice(objects_of(bucket, kind)), chance)
    broker.call("v1/cache/clear")
    codes = judge_reading(broker, truth, f"{what}, {where}")
    if set(codes) - {CORRUPT_MESSAGE}:
        raise Broken(f"{what}, {where}: {codes}, and not CORRUPT_MESSAGE only")
    if kind == "m" and not codes:
        raise Broken(f"{what}, {where}: nobody noticed")
    tally[f"{what}: {'errors' if codes else 'no harm'}"] += 1
    for code, count in codes.items():
        tally[f"code {code}"] += count
    undo()
    if not broker.runs():
        raise Broken(f"{what}, {where}: the broker ended: {broker.last_lines()}")


def flip_manifests(broker, bucket, seed, rounds, chance, tally):
    """A broker of its own, whose partitions have a manifest each."""
    try:
        broker.start()
        truth = write(broker, seed, EXTENTS_INLINE + 6, 30)
        # One a partition; a later flush may make more.
        wait_until(lambda: len(objects_of(bucket, "m")) >= PARTITIONS, 60, "manifests come into being")
        broker.call("v1/tier/flush")
        broker.stop()
        broker.start()
        judge_reading(broker, truth, "before the flips in manifests", errors_allowed=False)
        for _ in range(rounds):
            flip_in_bucket(broker, truth, bucket, "m", chance, tally)
        broker.call("v1/cache/clear")
        judge_reading(broker, truth, "after the flips in manifests", errors_allowed=False)
        broker.stop()
    finally:
        broker.kill()
    return len(objects_of(bucket, "m"))


def main():
    options = arguments(__doc__, 60)
    chance = random.Random(options.seed)

    def suite(directory):
        data, bucket = directory / "data", directory / "bucket"
        broker = Broker(options.program, data, directory / "esker.log", SETTINGS, bucket=f"file://{bucket}")
        tally = Counter()
        try:
            broker.start()
            broker.create_topic(FIRST_READ, 1)
            load = Load(broker, FIRST_READ, 1, options.seed, value_max=10).start()
            load.wait_for(10)
            load.stop()
            broker.call("v1/tier/flush")
            truth = write(broker, options.seed, 12, 300)
            broker.kill()
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
            flips = max(1, int(options.rounds * IN_CACHE / 2))
            for first in range(0, flips, CHUNKS_AT_ONCE):
                flip_chunks(broker, truth, bucket, min(CHUNKS_AT_ONCE, flips - first), chance, tally)
            for _ in range(flips):
                flip_in_cache(broker, truth, chance, tally)
            manifests = max(1, int(options.rounds * IN_MANIFESTS))
            for _ in range(options.rounds - sum(tally.values()) - manifests):
                flip_in_bucket(broker, truth, bucket, "d", chance, tally)
            broker.call("v1/cache/clear")
            judge_reading(broker, truth, "after the flips", errors_allowed=False)
            broker.stop()
        finally:
            broker.kill()
        bucket = directory / "manifests-bucket"
        log = directory / "manifests.log"
        broker = Broker(options.program, directory / "manifests-data", log, MANIFESTS, bucket=f"file://{bucket}")
        there = flip_manifests(broker, bucket, options.seed, manifests, chance, tally)
        codes = {name: count for name, count in tally.items() if name.startswith("code")}
        ends = {name: count for name, count in tally.items() if name not in codes}
        figures = {"flips": sum(ends.values()), "seed": options.seed, "ends": ends, "codes": codes, "manifests": there}
        return {**figures, "served_wrong": 0}, []

    return run_suite("bit-flips", suite)


if __name__ == "__main__":
    sys.exit(main())
