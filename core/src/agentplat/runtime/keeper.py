"""The keeper: a small parent that renews its worker's lease, and ends a worker that must not go on.

It loads no plugin, so nothing that an agent does can starve it. Renewal stops when the worker is dead or stopped; when
it cannot be confirmed in time, the worker's process group is killed before the lease runs out: so the database is asked
in a thread of its own, and nobody who watches a worker waits for an answer. Beside a worker that has worked for a while
stands a spare: a process that has started, and waits to be needed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol, Self
from uuid import UUID, uuid4

from agentplat.runtime.lifeline import Lifeline

logger = logging.getLogger("agentplat.keeper")

_LOOK = 0.25  # seconds between two looks at the worker
_RETRY = 0.5  # until the next try, when the database did not answer
_ENDING = 8.0  # for a worker whose time to drain is over: to drop its steps, give back their tasks, and end
_LAST_WORDS = 2.0  # for a worker whose row is gone, to end by itself
_FIRST_RESTART, _LONGEST_RESTART = 0.2, 10.0
WRONG_SETTINGS = 2  # the exit code of a worker that no restart would help


class Renewal(Protocol):
    """The keeper's own, synchronous way to the database. Raises an exception while the database is away."""

    def renew(self, worker_id: UUID, lease_seconds: float) -> bool:
        """False when the row is gone."""

    def expire(self, worker_id: UUID, blame: UUID | None = None, doing: UUID | None = None) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperOptions:
    lease_seconds: float = 15.0
    renew_seconds: float = 4.0
    drain_seconds: float = 25.0
    steady_seconds: float = 5.0  # a worker that has worked so long gets a spare, and is replaced without a pause
    spare: bool = True
    starts: int | None = None  # give up after so many workers in a row that never came to work; None: never

    @property
    def margin(self) -> float:
        """How long before the end of the lease an unconfirmed worker is killed."""
        return min(max(2.0, self.lease_seconds / 4), self.lease_seconds / 2)


@dataclass(slots=True, kw_only=True)
class _Lease:
    """Of one worker, as far as the database has answered."""

    worker_id: UUID
    confirmed: float  # the database counts from here, or from later on
    next_renewal: float = 0.0
    is_gone: bool = False  # its row


class Keeper:
    """Keeps one worker process alive.

    `serve` returns 0 when it was told to stop, or the worker ended by itself; the worker's exit code when another
    worker would end so too.
    """

    def __init__(self, command: Sequence[str], connect: Callable[[], Renewal], options: KeeperOptions) -> None:
        """`command` starts the worker proper; the worker's id and the descriptors are appended to it."""
        self._command = command
        self._connect = connect
        self._options = options
        self._stopping = False
        self._child: _Child | None = None
        self._spare: _Child | None = None
        self._renewal: Renewal | None = None
        # A worker whose tasks are not handed back yet, the one to blame, and the one on which it decided.
        self._dead: tuple[UUID, UUID | None, UUID | None] | None = None
        self._asking: threading.Thread | None = None  # the one that asked the database last
        self._next_try = 0.0  # to hand them back
        self._came_to_work = False

    def stop(self, signum: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Let the worker drain, then end. Fit for `signal.signal`."""
        del signum, frame
        self._stopping = True
        if self._child is not None:
            self._child.stop()

    def is_stopping(self) -> bool:
        return self._stopping

    def serve(self) -> int:
        try:
            return self._serve()
        finally:
            if self._spare is not None:
                self._spare.end()

    def _serve(self) -> int:
        pause = _FIRST_RESTART
        useless = 0
        while not self.is_stopping():
            started = time.monotonic()
            code = self._keep_one()
            if self.is_stopping() or code == 0:
                break
            useless = 0 if self._came_to_work else useless + 1
            if code == WRONG_SETTINGS or useless == self._options.starts:
                return code
            steady = self._came_to_work and time.monotonic() - started > self._options.steady_seconds
            now = 0.0 if steady else pause
            logger.warning("worker_died", extra={"exit_code": code, "restart_in": now})
            time.sleep(now)
            pause = _FIRST_RESTART if steady else min(pause * 2, _LONGEST_RESTART)
        return 0

    def _keep_one(self) -> int:
        """Let one worker begin, keep it until it ends, and hand back what it owned. Returns its exit code."""
        child = self._child = self._spare_that_lives() or _Child(self._command)
        child.begin()
        blame: UUID | None = None
        try:
            if self._stopping:
                child.stop()
            blame = self._watch(child)
        finally:
            code = child.end()
            self._came_to_work = child.came_to_work
        if self._came_to_work and code != 0:
            if self._asking is not None:
                self._asking.join()  # nobody is there now who would have to be killed meanwhile
            self._dead = child.id, blame, child.decided_on
            self._hand_back()
        return code

    def _with_spare(self, now: float) -> float:
        """Start a spare, if one is wanted and there is none. Returns when to look again."""
        if not self._options.spare or self._spare is not None:
            return now
        self._spare = self._started_spare()
        return now + _LONGEST_RESTART

    def _started_spare(self) -> _Child | None:
        """None when the machine refuses it: the worker that works is worth more than the one that stands by."""
        try:
            return _Child(self._command)
        except OSError as error:
            logger.warning("spare_not_started", extra={"reason": type(error).__name__})
            return None

    def _spare_that_lives(self) -> _Child | None:
        spare, self._spare = self._spare, None
        if spare is not None and not spare.is_alive():
            spare.end()
            return None
        return spare

    def _watch(self, child: _Child) -> UUID | None:
        """Return when the worker has ended or must end; with the task whose step ran too long, if that is why."""
        lease: _Lease | None = None
        stop_by: float | None = None
        next_spare = 0.0
        with _Exit(child.pid) as ended:
            while child.is_alive():
                ended.wait(_LOOK)
                now = time.monotonic()
                if self._stopping and stop_by is None:
                    stop_by = now + self._options.drain_seconds + _ENDING
                if stop_by is not None and now > stop_by:
                    logger.error("worker_would_not_drain")
                    return None
                overdue = child.lifeline.overdue(now)
                if overdue is not None:
                    logger.error("step_outlived_its_deadline", extra={"task_id": str(overdue)})
                    return overdue
                if self._dead is not None and now >= self._next_try:
                    self._ask(self._hand_back)
                if lease is None:
                    if not child.lifeline.is_registered:
                        continue
                    lease = _Lease(worker_id=child.id, confirmed=child.lifeline.registered_at)
                    next_spare = now + self._options.steady_seconds
                if lease.is_gone:
                    if stop_by is not None:  # a worker that drains takes its row away itself
                        continue
                    _let_end(child, ended)
                    return None
                if not self._is_held(lease, child.pid, now):
                    logger.error("lease_not_confirmed_in_time")
                    return None
                if stop_by is None and now > next_spare:
                    next_spare = self._with_spare(now)
        return None

    def _is_held(self, lease: _Lease, pid: int, now: float) -> bool:
        """Whether the lease has long enough to go, as far as is known. Asks for its renewal when it is time to."""
        if now >= lease.next_renewal and not _is_stopped(pid):
            self._ask(partial(self._renew, lease))
        return now <= lease.confirmed + self._options.lease_seconds - self._options.margin

    def _ask(self, question: Callable[[], None]) -> None:
        """Ask the database in a thread of its own. While it owes an answer, it is asked nothing else."""
        if self._asking is not None and self._asking.is_alive():
            return
        asking = threading.Thread(target=question, name="asking", daemon=True)
        with contextlib.suppress(RuntimeError):  # the machine refuses it: the next look tries again
            asking.start()
            self._asking = asking

    def _renew(self, lease: _Lease) -> None:
        """Note in `lease` whether the row is there, if the database answers."""
        asked = time.monotonic()
        try:
            if self._renewal is None:
                self._renewal = self._connect()
            is_there = self._renewal.renew(lease.worker_id, self._options.lease_seconds)
        except Exception as error:  # noqa: BLE001  # whatever the driver raises, the lease is not confirmed
            logger.warning("lease_not_renewed", extra={"reason": type(error).__name__})
            self._renewal = None
            lease.next_renewal = asked + _RETRY
            return
        lease.next_renewal = asked + self._options.renew_seconds
        if is_there:
            lease.confirmed = asked
        else:
            lease.is_gone = True

    def _hand_back(self) -> None:
        """Return at once what a worker owned that is known to be dead. If that fails, it is tried again."""
        assert self._dead is not None
        try:
            if self._renewal is None:
                self._renewal = self._connect()
            self._renewal.expire(*self._dead)
            self._dead = None
        except Exception as error:  # noqa: BLE001  # as above
            logger.warning("worker_not_expired", extra={"reason": type(error).__name__})
            self._renewal = None
            self._next_try = time.monotonic() + _RETRY


class _Child:
    """A worker process, which waits until it is told to begin. It dies with this process."""

    def __init__(self, command: Sequence[str]) -> None:
        self.id = uuid4()
        self.lifeline = Lifeline()
        self.came_to_work = False  # is known at its end, and so is what it decided on
        self.decided_on: UUID | None = None
        alive, self._held = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, str(self.id), str(self.lifeline.fd), str(alive)],
                pass_fds=(self.lifeline.fd, alive),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        except OSError:
            os.close(self._held)
            self.lifeline.close()
            raise
        finally:
            os.close(alive)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def begin(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._held, b"1")

    def stop(self) -> None:
        """Let it drain."""
        if self.is_alive():
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Kill it, and all of its group: tools that it started must not outlive it. Returns its exit code."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        self.came_to_work, self.decided_on = self.lifeline.is_registered, self.lifeline.decided_on
        os.close(self._held)
        self.lifeline.close()
        return code


class _Exit:
    """Waits for a process to end, without a loop of short sleeps where the system allows it."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid) if sys.platform == "linux" else None

    def __enter__(self) -> Self:
        return self

    def wait(self, seconds: float) -> None:
        if self._fd is None:
            time.sleep(min(seconds, 0.1))
        else:
            select.select([self._fd], [], [], seconds)

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _let_end(child: _Child, ended: _Exit) -> None:
    """A worker that drains takes its row away itself, just before it ends. Any other has lost its leases."""
    ended.wait(_LAST_WORDS)
    if child.is_alive():
        logger.error("worker_row_is_gone")


def _is_stopped(pid: int) -> bool:
    """Whether the process was stopped by a signal. Such a worker must lose its lease."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in ("T", "t")
