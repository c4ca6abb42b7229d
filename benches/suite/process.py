"""Processes: pinned to cores, their processor time and memory."""

import os
import signal
import subprocess
import time
from pathlib import Path

# What brokers and generators run under: a real-time policy makes figures on a busy machine those of a quiet one.
policy: list[str] = []
_TICK = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[str, str]:
    """Where brokers run, and where everything else does. One core each on a machine of two."""
    own = sorted(os.sched_getaffinity(0))
    if len(own) < 2:
        return str(own[0]), str(own[0])
    half = len(own) // 2
    text = lambda part: ",".join(map(str, part))  # noqa: E731
    return text(own[:half]), text(own[half:])


class Process:
    """A running process and what it has used."""

    def __init__(self, command: list[str], log: Path, core: str, env: dict[str, str] | None = None) -> None:
        self.started = time.monotonic()
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*policy, "taskset", "-c", core, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
            )
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def rss(self) -> int:
        """Resident bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def wakeups(self) -> int:
        """Voluntary context switches of all threads."""
        total = 0
        for status in Path(f"/proc/{self.pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
        return total

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()


def wait_for(what: str, condition, patience: float = 90.0, pause: float = 0.002) -> None:
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {patience:g} s")
        time.sleep(pause)


def drop_page_cache() -> None:
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        pass  # Only root may; what is read past the page cache does not care.
