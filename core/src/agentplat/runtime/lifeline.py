"""What a worker process and its keeper share: a few bytes of memory, and a pipe that breaks when the keeper dies.

The memory says whether the worker is registered, the earliest moment at which one of its steps has run too long, and
what it decides on. It is memory and not a message, because a worker whose event loop is blocked sends nothing, and a
dead one neither. The pipe also brings the word to begin.
"""

from __future__ import annotations

import ctypes
import heapq
import mmap
import os
import signal
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from uuid import UUID

LONGEST_DECISION = 120.0
"""Seconds after which a strategy, a check or an expression is taken for one that never comes to an end."""
_LAYOUT = struct.Struct("<Bd16s")
_DECISION = struct.Struct("<d36s")
_AT = 64  # bytes from the beginning, where it lies
_NEVER = bytes(8)
_SIZE = mmap.PAGESIZE
_PR_SET_PDEATHSIG = 1
_FEW = 100  # of what has ended may lie in order, however little is under way
_NOBODY = UUID(int=0)


class Lifeline:
    """Made by the keeper, opened by the worker over the inherited descriptor `fd`."""

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(_SIZE)
                fd = os.dup(file.fileno())
        self.fd = fd
        self._memory = mmap.mmap(fd, _SIZE)
        self._under_way: set[int] = set()  # the numbers of bodies
        self._last = 0
        self._order: list[tuple[float, int, UUID]] = []  # a heap of deadlines, of bodies that have ended too

    # --- the worker's side ---

    def registered(self) -> None:
        self._write(1, 0.0, _NOBODY)

    def begin(self, task_id: UUID, deadline: float) -> int:
        """The number of a body that starts. `deadline` is a time of the monotonic clock, which all processes share."""
        self._last = number = self._last + 1
        self._under_way.add(number)
        heapq.heappush(self._order, (deadline, number, task_id))
        if len(self._order) > 2 * len(self._under_way) + _FEW:  # most have ended behind one that goes on
            self._order = [body for body in self._order if body[1] in self._under_way]
            heapq.heapify(self._order)
        if self._order[0][1] == number:
            self._write(1, deadline, task_id)
        return number

    def end(self, number: int) -> None:
        self._under_way.discard(number)
        if self._order and self._order[0][1] == number:
            while self._order and self._order[0][1] not in self._under_way:
                heapq.heappop(self._order)  # it ended while an earlier one was under way
            deadline, _, task_id = self._order[0] if self._order else (0.0, 0, _NOBODY)
            self._write(1, deadline, task_id)

    def decides(self, task_id: str) -> None:
        """The worker's loop is busy with what follows for this task; with none when that is empty."""
        if task_id:
            _DECISION.pack_into(self._memory, _AT, time.monotonic() + LONGEST_DECISION, task_id.encode())
        else:  # at every step, so it has to be quick
            self._memory[_AT : _AT + 8] = _NEVER

    def _write(self, registered: int, deadline: float, task_id: UUID) -> None:
        _LAYOUT.pack_into(self._memory, 0, registered, deadline, task_id.bytes)

    # --- the keeper's side ---

    @property
    def is_registered(self) -> bool:
        registered: int = _LAYOUT.unpack_from(self._memory, 0)[0]
        return bool(registered)

    @property
    def decided_on(self) -> UUID | None:
        """The task on which the worker decides, or decided when it died."""
        until, task_id = _DECISION.unpack_from(self._memory, _AT)
        return UUID(task_id.decode()) if until else None

    def overdue(self, now: float) -> UUID | None:
        """The task whose step has run too long, or on which it decides without end; None while there is none."""
        until, _ = _DECISION.unpack_from(self._memory, _AT)
        if 0.0 < until < now:
            return self.decided_on
        first: tuple[int, float, bytes] = _LAYOUT.unpack_from(self._memory, 0)
        again: tuple[int, float, bytes] = _LAYOUT.unpack_from(self._memory, 0)
        # Two equal looks: a write that was half done at the first one is whole, or different, at the second.
        _, deadline, task = first
        return UUID(bytes=task) if first == again and 0.0 < deadline < now else None

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)


def die_with_parent() -> None:
    """End this process when its parent ends, whatever this process is doing then. Linux only; elsewhere nothing."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in between
        os._exit(1)


def die_with_pipe(fd: int, begin: Callable[[], None] = lambda: None) -> None:
    """Call `begin` when the pipe `fd` brings a byte, and end this process when its other end is closed.

    The portable form of dying with the parent, which needs the GIL.
    """

    def watch() -> None:
        while os.read(fd, 1):
            begin()
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
