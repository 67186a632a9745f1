"""Worker processes: started, watched, measured and ended, with everything that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from harness.tally import now

T = TypeVar("T")
_TICKS = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """The process and everything below it."""
    found: list[int] = []
    todo = [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        with suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                with suppress(OSError):
                    todo += [int(child) for child in (thread / "children").read_text().split()]
    return found


def cpu_seconds(pid: int, *, with_ended_children: bool = False) -> float:
    """What the process used so far; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11 : 15 if with_ended_children else 13]) / _TICKS


class WorkerProcess:
    """A process in a group of its own. What it writes goes to a log."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        descriptor, name = tempfile.mkstemp(prefix="bench-worker-", suffix=".log")
        self._log = Path(name)
        with os.fdopen(descriptor, "wb") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Of all its processes. Needs all of them alive: what an ended child used is not counted."""
        return sum(cpu_seconds(pid) for pid in descendants(self.pid))

    def memory_mb(self, *, peak: bool = False, largest: bool = False) -> float:
        """Resident memory of all its processes together, or of the largest one."""
        key = "VmHWM:" if peak else "VmRSS:"
        kilobytes = [0]
        for pid in descendants(self.pid):
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                kilobytes += [int(line.split()[1]) for line in lines if line.startswith(key)]
        return round((max if largest else sum)(kilobytes) / 1024, 1)

    def said(self, characters: int = 1500) -> str:
        """The end of its log."""
        with suppress(OSError):
            return self._log.read_text(errors="replace")[-characters:]
        return ""

    def stop(self, patience: float = 10.0) -> None:
        """Ask it to end, then end it and all that it started."""
        family = descendants(self.pid)
        if self.is_alive():
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        if self.is_alive():
            family = descendants(self.pid)
        for pid in family:
            if pid != self.pid or self.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._log.unlink(missing_ok=True)


def wait_for(
    condition: Callable[[], T], patience: float, what: str, workers: Sequence[WorkerProcess] = (), step: float = 0.01
) -> T:
    """What `condition` gives as soon as it is true. TimeoutError, or RuntimeError when a worker has ended."""
    end = now() + patience
    while True:
        value = condition()
        if value:
            return value
        for worker in workers:
            if not worker.is_alive():
                raise RuntimeError(f"A worker ended while we waited for {what}: {worker.said()}")
        if now() > end:
            said = " | ".join(worker.said(600) for worker in workers)
            raise TimeoutError(f"Waited {patience:g} s for {what} in vain. {said}")
        time.sleep(step)
