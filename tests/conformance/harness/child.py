"""A process of the test: started, its output kept in a file, and stopped for sure."""

import signal
import subprocess
from pathlib import Path

STOP_PATIENCE_S = 40.0


class Child:
    """A running process whose standard output and error are appended to `log`."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def require_alive(self) -> None:
        code = self._process.poll()
        assert code is None, f"{self._process.args[0]} ended with {code}; the end of {self.log}:\n{self.log_end()}"

    def log_end(self, bytes_max: int = 4000) -> str:
        return self.log.read_bytes()[-bytes_max:].decode(errors="replace")

    def stop(self) -> int:
        """Asks the process to end and returns its exit code; one that does not listen is killed, and that fails."""
        if self.is_alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop within {STOP_PATIENCE_S:g} s of SIGTERM:\n{self.log_end()}") from None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, patience_s: float) -> int:
        """The exit code, once the process has ended by itself."""
        return self._process.wait(patience_s)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
