"""A file system on a disk that fails on demand: `disk/` serves an image through FUSE, a loop device makes it a disk.

What the machine does not allow is found out without that program, and skips; what fails afterwards is a failure.
"""

import ctypes
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Broken, Skipped

PATIENCE_S = 20
# Of umount2(2): away now, whoever uses it.
MNT_DETACH = 2


def program():
    """The program of `disk/`, built if nobody names one."""
    chosen = os.environ.get("FAULTY_DISK_BIN")
    if chosen:
        return chosen
    if shutil.which("cargo") is None:
        raise Skipped("cargo is not installed: it builds tests/faults/disk")
    source = Path(__file__).resolve().parent / "disk"
    cache = Path(os.environ.get("ESKER_TEST_CACHE") or Path.home() / ".cache" / "esker-tests")
    target = cache / "faulty-disk"
    if shutil.which("cc") is None:
        raise Skipped("cc is not installed: tests/faults/disk needs it to be built")
    fetched = subprocess.run(["cargo", "fetch", "--locked"], cwd=source, capture_output=True, text=True, check=False)
    # A lock file that does not fit is our own fault, which the build tells.
    if fetched.returncode != 0 and "--locked" not in fetched.stderr:
        raise Skipped(f"what tests/faults/disk is built with cannot be had: {fetched.stderr.strip()[-300:]!r}")
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--offline", "--target-dir", str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"tests/faults/disk does not build: {done.stderr.strip()[-2000:]}")
    return str(target / "release" / "faulty-disk")


def require_rights():
    """Says what is missing to mount a disk of our own."""
    if os.geteuid() != 0:
        raise Skipped("mounting needs root")
    for tool in ("losetup", "mount", "umount", "mkfs.ext4", "filefrag"):
        if shutil.which(tool) is None:
            raise Skipped(f"{tool} is not installed")
    with tempfile.TemporaryDirectory(prefix="esker-rights-") as directory:
        try_fuse(directory)
        try_loop(Path(directory))


def try_fuse(directory):
    """Mounts a FUSE file system that nobody serves, and takes it away again."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        raise Skipped(f"FUSE: {error}") from None
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    refused = libc.mount(b"rights", directory.encode(), b"fuse", 0, options)
    reason = os.strerror(ctypes.get_errno())
    if not refused:
        libc.umount2(directory.encode(), MNT_DETACH)
    os.close(device)
    if refused:
        raise Skipped(f"FUSE cannot be mounted here: {reason}")


def try_loop(directory):
    """Makes a disk of a plain file and mounts it."""
    image, files, loop = directory / "image", directory / "files", None
    files.mkdir()
    with image.open("wb") as file:
        file.truncate(4 << 20)
    try:
        run("mkfs.ext4", "-q", "-F", str(image))
        loop = run("losetup", "-f", "--show", str(image))
        run("mount", loop, str(files))
        run("umount", str(files))
    except OSError as error:
        raise Skipped(f"no file can be mounted as a disk here: {error}") from None
    finally:
        if loop:
            run("losetup", "-d", loop, check=False)


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


class FaultyDisk:
    """An ext4 file system, mounted at `files` while it is attached."""

    def __init__(self, directory, mebibytes=512, seed=1, may_repair=False):
        """One that `may_repair` is checked like any other after errors, where it cannot be mounted as it is."""
        require_rights()
        self.may_repair, self.repairs = may_repair, 0
        self.program = program()
        self.image = Path(directory) / "medium.img"
        self.device = Path(directory) / "device"
        self.files = Path(directory) / "files"
        self.socket = Path(directory) / "control"
        self.seed = seed
        self.daemon = self.loop = self.control = None
        self.mounted = False
        for path in (self.device, self.files):
            path.mkdir()
        with self.image.open("wb") as image:
            image.truncate(mebibytes << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))

    def attach(self, options="errors=remount-ro"):
        """Switches the disk on and mounts it, with the recovery of the file system's journal."""
        self.socket.unlink(missing_ok=True)
        self.seed += 1
        command = [self.program, str(self.image), str(self.device), str(self.socket), str(self.seed)]
        self.daemon = subprocess.Popen(command)
        deadline = time.monotonic() + PATIENCE_S
        while not (self.device / "disk.img").exists():
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"the faulty disk is not there within {PATIENCE_S} s; its program ended with {self.daemon.poll()}")
            time.sleep(0.005)
        self.control = socket.socket(socket.AF_UNIX)
        self.control.connect(str(self.socket))
        try:
            self.loop = run("losetup", "-f", "--show", str(self.device / "disk.img"))
            self.mount(options)
        except OSError as error:
            raise Broken(f"the faulty disk cannot be mounted: {error}") from None
        self.mounted = True

    def mount(self, options):
        try:
            run("mount", "-o", options, self.loop, str(self.files))
        except OSError:
            if not self.may_repair:
                raise
            # ext4 notes errors in its superblock, in place, and now and then while it computes the checksum of that.
            run("e2fsck", "-f", "-y", self.loop, check=False)
            run("mount", "-o", options, self.loop, str(self.files))
            self.repairs += 1

    def tell(self, command):
        """Sends a line to the disk; its counters."""
        self.control.sendall(command.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self.control.recv(4096)
        answer = json.loads(answer)
        if "error" in answer:
            raise OSError(f"{command}: {answer['error']}")
        return answer

    def sectors_of(self, file):
        """Where the content of a file lies: (first sector, sector after the last). Nowhere, if it is gone."""
        for line in run("filefrag", "-b512", "-e", str(file), check=False).splitlines():
            words = line.replace(":", " ").replace("..", " ").split()
            if words and words[0].isdigit():
                yield int(words[3]), int(words[4]) + 1

    def detach(self):
        """Unmounts and switches off. Whoever has files open on it must be gone."""
        if self.mounted:
            deadline = time.monotonic() + PATIENCE_S
            while subprocess.run(["umount", str(self.files)], capture_output=True, check=False).returncode != 0:
                if time.monotonic() > deadline:
                    run("umount", "-l", str(self.files), check=False)
                    break
                time.sleep(0.02)
            self.mounted = False
        if self.loop:
            run("losetup", "-d", self.loop, check=False)
            self.loop = None
        if self.control:
            self.control.close()
            self.control = None
        if self.daemon:
            deadline = time.monotonic() + PATIENCE_S
            while self.daemon.poll() is None and time.monotonic() < deadline:
                run("umount", str(self.device), check=False)
                time.sleep(0.005)
            if self.daemon.poll() is None:
                self.daemon.kill()
                run("umount", "-l", str(self.device), check=False)
            self.daemon.wait()
            self.daemon = None
