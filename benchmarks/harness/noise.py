"""How much CPU foreign processes use meanwhile: a number that is not near 0 spoils a measurement."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from harness.database import SERVERS_VARIABLE

_TICKS = os.sysconf("SC_CLK_TCK")
_KERNEL = 2  # the parent of the kernel's threads
_LOOK = 0.5


class Noise(threading.Thread):
    """Adds up what foreign processes use, from its start on."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds = 0.0
        self._used: dict[int, int] = {}
        self._look(count=False)

    def run(self) -> None:
        while True:
            time.sleep(_LOOK)
            self._look(count=True)

    def wait_for_quiet(self, cores: float, patience: float) -> None:
        """Return when others used fewer than `cores` for two seconds, or when patience is at its end."""
        end = time.monotonic() + patience
        while True:
            seconds, began = self.seconds, time.monotonic()
            time.sleep(2)
            if (self.seconds - seconds) / (time.monotonic() - began) < cores or time.monotonic() > end:
                return

    def _look(self, *, count: bool) -> None:
        parents: dict[int, int] = {}
        used: dict[int, int] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                except OSError:
                    continue
                parents[int(folder.name)], used[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
        own = {os.getpid(), _KERNEL, *map(int, os.environ.get(SERVERS_VARIABLE, "").split())}
        for pid, ticks in used.items():
            if count and not _belongs(pid, parents, own):
                self.seconds += max(ticks - self._used.get(pid, 0), 0) / _TICKS
        self._used = used


def _belongs(pid: int, parents: dict[int, int], own: set[int]) -> bool:
    while pid in parents:
        if pid in own:
            return True
        pid = parents[pid]
    return False
