"""A shared memory file in which task bodies record what happened, with no database in the way.

One slot of 64 bytes per worker process, and one double per task index. All times are CLOCK_MONOTONIC, which is the same
for every process of a machine.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BENCH_TALLY"
now = time.monotonic

_SLOT = 64
_SLOTS = 64
_GATE = (_SLOTS - 1) * _SLOT  # the last slot is no worker's
_HEAD = _SLOTS * _SLOT
_WORD = struct.Struct("q")
_HITS = struct.Struct("qdd")  # how many bodies ran, when the first began, when the last was counted
_TIME = struct.Struct("d")


@dataclass(frozen=True, slots=True)
class Hits:
    """What all workers did: bodies, the time of the first and of the last one, and bodies per worker."""

    bodies: int
    first: float
    last: float
    per_worker: tuple[int, ...]


class Tally:
    """Made by `create` in the driver; opened by `attached` in workers, at its first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._offset = 0
        self._pid = 0
        self._guard = threading.Lock()

    @classmethod
    def create(cls, tasks: int = 0) -> Tally:
        """A new one, with room for `tasks` marks; workers find it by the environment."""
        shared = Path("/dev/shm")
        descriptor, name = tempfile.mkstemp(prefix="bench-tally-", dir=shared if shared.is_dir() else None)
        os.ftruncate(descriptor, _HEAD + _TIME.size * max(tasks, 1))
        os.close(descriptor)
        os.environ[VARIABLE] = name
        return cls(Path(name))

    @classmethod
    def attached(cls) -> Tally:
        """The driver's, in a worker."""
        return cls(Path(os.environ[VARIABLE]))

    def remove(self) -> None:
        self._memory.close()
        self.path.unlink(missing_ok=True)

    def hit(self) -> None:
        """One body ran."""
        self._attach()
        with self._guard:
            bodies, first, _ = _HITS.unpack_from(self._memory, self._offset + 8)
            at = now()
            _HITS.pack_into(self._memory, self._offset + 8, bodies + 1, first or at, at)

    def mark(self, index: int) -> None:
        """The body of this task began now."""
        _TIME.pack_into(self._memory, _HEAD + _TIME.size * index, now())

    def marked(self, index: int) -> float:
        """When it began; 0 when it has not."""
        at: float = _TIME.unpack_from(self._memory, _HEAD + _TIME.size * index)[0]
        return at

    def read(self) -> Hits:
        slots = [_HITS.unpack_from(self._memory, offset + 8) for offset in self._taken()]
        return Hits(
            bodies=sum(bodies for bodies, _, _ in slots),
            first=min((first for _, first, _ in slots if first), default=0.0),
            last=max((last for _, _, last in slots), default=0.0),
            per_worker=tuple(bodies for bodies, _, _ in slots),
        )

    def reset(self) -> None:
        """Forget the bodies so far. Only while none runs."""
        for offset in self._taken():
            _HITS.pack_into(self._memory, offset + 8, 0, 0.0, 0.0)

    # The gate: workers import and connect, say so, and start together.

    def waiting(self) -> int:
        """How many workers have come to the gate."""
        return sum(1 for offset in self._taken() if _WORD.unpack_from(self._memory, offset + 32)[0])

    def open_gate(self) -> None:
        _WORD.pack_into(self._memory, _GATE + 8, 1)

    def gate(self) -> None:
        """Wait, in a worker, until the driver opens the gate."""
        self._attach()
        _WORD.pack_into(self._memory, self._offset + 32, 1)
        while not _WORD.unpack_from(self._memory, _GATE + 8)[0]:
            time.sleep(0.002)

    def _taken(self) -> list[int]:
        offsets = range(0, _GATE, _SLOT)
        return [offset for offset in offsets if _WORD.unpack_from(self._memory, offset)[0]]

    def _attach(self) -> None:
        """Take a slot, once per process: also after a fork."""
        pid = os.getpid()
        if self._pid == pid:
            return
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for offset in range(0, _GATE, _SLOT):
                if _WORD.unpack_from(self._memory, offset)[0] in (0, pid):
                    _WORD.pack_into(self._memory, offset, pid)
                    self._offset, self._pid = offset, pid
                    return
        raise RuntimeError("There are more worker processes than slots.")
