#!/usr/bin/env python3
"""Data directories that must not be used, or not any more: each is refused with one line that says which file, what was
found and what to do, exit code 2, and nothing in it changed.

Two processes on one directory, a foreign one, one that cannot be written, a file in its place, one without its metadata,
without its log, wiped under a bucket that is in use, an old copy put back, and its log or its metadata alone put back from
before.
"""

import os
import shutil
import subprocess
import sys

from harness import Broken, Broker, Load, arguments, check, read_all, run_suite

TOPIC, PARTITIONS = "directories", 2


def listing(directory):
    """Every file below it with its size and time of change."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.stat()
        found[str(path)] = (status.st_size, status.st_mtime_ns) if path.is_file() else None
    return found


def refused(broker, words, unchanged=None):
    """A start that ends with 2 and one line that has all of `words`."""
    before = listing(unchanged) if unchanged else None
    position = broker.log_size()
    broker.spawn()
    code = broker.wait_end(30)
    lines = [line for line in broker.log_since(position).splitlines() if line.startswith("esker: ")]
    if code != 2 or len(lines) != 1:
        raise Broken(f"expected a refusal, the broker ended with {code}: {broker.log_since(position)[-500:]}")
    missing = [word for word in words if word not in lines[0]]
    if missing:
        raise Broken(f"`{lines[0]}` says nothing of {missing}")
    if before is not None and listing(unchanged) != before:
        raise Broken(f"{unchanged} was changed although it was refused: `{lines[0]}`")
    return lines[0]


def mount_read_only(directory):
    """Makes a directory one that nobody can write, not even root; why not, if that cannot be done here."""
    for number, words in enumerate((["--bind", directory, directory], ["-o", "remount,ro,bind", directory])):
        try:
            done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
        except OSError as error:
            return f"mount: {error}"
        if done.returncode != 0:
            if number:
                subprocess.run(["umount", directory], check=True)
            return f"no read-only mount: {done.stderr.strip()}"
    return None


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        said, skipped = {}, {}
        log, bucket = directory / "esker.log", f"file://{directory / 'bucket'}"
        data = directory / "data"

        def broker_on(path, url=bucket, **more):
            return Broker(options.program, path, log, bucket=url, **more)

        first = broker_on(data)
        try:
            first.start()
            first.create_topic(TOPIC, PARTITIONS)
            load = Load(first, TOPIC, PARTITIONS, options.seed).start()
            load.wait_for(500)

            said["in use"] = refused(broker_on(data), [str(data), "in use"])
            if not first.is_ready():
                raise Broken("a second process has disturbed the first")

            foreign = directory / "foreign"
            foreign.mkdir()
            (foreign / "thesis.txt").write_text("do not touch")
            said["foreign"] = refused(broker_on(foreign), [str(foreign), "thesis.txt", "--data-dir"], foreign)

            file = directory / "file"
            file.write_text("a file")
            said["file"] = refused(broker_on(file), [str(file), "--data-dir"])

            locked = directory / "locked"
            locked.mkdir()
            if os.geteuid() == 0:
                # Rights mean nothing to root; a read-only mount does.
                reason = mount_read_only(locked)
                if reason:
                    skipped["unwritable directory"] = reason
                else:
                    try:
                        said["unwritable"] = refused(broker_on(locked / "data"), [str(locked), "--data-dir"], locked)
                    finally:
                        subprocess.run(["umount", locked], check=True)
            else:
                locked.chmod(0o500)
                said["unwritable"] = refused(broker_on(locked), [str(locked), "--data-dir"], locked)

            load.wait_for(100)
            load.stop()
            first.kill()

            # The metadata is gone, what it told about is not.
            shutil.move(data / "metadata", directory / "metadata")
            said["no metadata"] = refused(broker_on(data), [str(data / "metadata"), "copy"], data / "wal")
            shutil.move(directory / "metadata", data / "metadata")

            # The log is gone with records that the bucket does not have.
            shutil.move(data / "wal", directory / "wal")
            said["no log"] = refused(broker_on(data), ["journal", "Put the old one back"])
            shutil.rmtree(data / "wal", ignore_errors=True)
            shutil.move(directory / "wal", data / "wal")

            # Everything is gone; the bucket remembers whose it is.
            shutil.move(data, directory / "kept")
            said["wiped"] = refused(broker_on(data), ["belongs to cluster"])
            shutil.rmtree(data, ignore_errors=True)
            shutil.move(directory / "kept", data)

            # A copy from before the last start comes back.
            again = broker_on(data)
            shutil.copytree(data, directory / "old")
            shutil.copytree(data, directory / "copied")
            again.start()
            load_again = Load(again, TOPIC, PARTITIONS, options.seed + 1)
            load_again.sent = 1 << 30
            load_again.start()
            load_again.wait_for(200)
            load_again.stop()
            again.call("v1/tier/flush")
            again.stop()
            shutil.move(data, directory / "newest")
            shutil.move(directory / "old", data)
            for _ in range(3):
                said["old copy"] = refused(broker_on(data), [str(data), "old copy", "newest"], data / "metadata")
            shutil.rmtree(data)
            shutil.move(directory / "newest", data)

            # The log or the metadata alone comes back from before.
            for part, words in [
                ("wal", [str(data / "wal"), "older than the metadata", "one time"]),
                ("metadata", [str(data / "metadata"), "older than the write-ahead log", "one time"]),
            ]:
                shutil.move(data / part, directory / f"newest-{part}")
                shutil.copytree(directory / "copied" / part, data / part)
                for _ in range(3):
                    said[f"old {part}"] = refused(broker_on(data), words)
                shutil.rmtree(data / part)
                shutil.move(directory / f"newest-{part}", data / part)

            # After all this nothing is missing.
            last = broker_on(data)
            last.start()
            places, unplaced = load.known()
            more, more_unplaced = load_again.known()
            check(({**places, **more}, unplaced | more_unplaced), read_all(last, TOPIC, PARTITIONS), "at the end")
            last.stop()
        finally:
            first.kill()
        for case, line in said.items():
            print(f"{case}: {line}")
        figures = {"refused": len(said), "acknowledged": len(load.times) + len(load_again.times), "lost": 0}
        return {**figures, "skipped": skipped}, []

    return run_suite("directories", suite)


if __name__ == "__main__":
    sys.exit(main())
