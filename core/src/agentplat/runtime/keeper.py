"""The keeper: a small parent that renews its worker's lease, and ends a worker that must not go on.

It loads no plugin, so nothing that an agent does can starve it. Renewal stops when the worker is dead or stopped; when
it cannot be confirmed in time, the worker's process group is killed before the lease runs out.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol, Self
from uuid import UUID, uuid4

from agentplat.runtime.lifeline import Lifeline

logger = logging.getLogger("agentplat.keeper")

_LOOK = 0.25  # seconds between two looks at the worker
_FIRST_RESTART, _LONGEST_RESTART = 0.2, 10.0
WRONG_SETTINGS = 2  # the exit code of a worker that no restart would help


class Renewal(Protocol):
    """The keeper's own, synchronous way to the database. Raises an exception while the database is away."""

    def renew(self, worker_id: UUID, lease_seconds: float) -> bool:
        """False when the row is gone."""

    def expire(self, worker_id: UUID, blame: UUID | None = None) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperOptions:
    lease_seconds: float = 15.0
    renew_seconds: float = 4.0
    drain_seconds: float = 25.0
    steady_seconds: float = 5.0  # a worker that came to work and lived this long is replaced without a pause
    starts: int | None = None  # give up after so many workers in a row that never came to work; None: never

    @property
    def margin(self) -> float:
        """How long before the end of the lease an unconfirmed worker is killed."""
        return min(max(2.0, self.lease_seconds / 4), self.lease_seconds / 2)


class Keeper:
    """Keeps one worker process alive.

    `serve` returns 0 when it was told to stop, or the worker ended by itself; the worker's exit code when another
    worker would end so too.
    """

    def __init__(
        self,
        command: Sequence[str],
        connect: Callable[[], Renewal],
        options: KeeperOptions,
    ) -> None:
        """`command` starts the worker proper; the worker's id and the descriptors are appended to it."""
        self._command = command
        self._connect = connect
        self._options = options
        self._stopping = False
        self._child: subprocess.Popen[bytes] | None = None
        self._lifeline = Lifeline()
        self._renewal: Renewal | None = None
        self._came_to_work = False

    def stop(self, signum: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Let the worker drain, then end. Fit for `signal.signal`."""
        del signum, frame
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)

    def is_stopping(self) -> bool:
        return self._stopping

    def serve(self) -> int:
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
        """Start one worker, keep it until it ends, and hand back what it owned. Returns its exit code."""
        worker_id = uuid4()
        self._lifeline = Lifeline()
        alive, held = os.pipe()
        command = [*self._command, str(worker_id), str(self._lifeline.fd), str(alive)]
        self._child = subprocess.Popen(
            command, pass_fds=(self._lifeline.fd, alive), start_new_session=True, stdin=subprocess.DEVNULL
        )
        os.close(alive)
        blame: UUID | None = None
        try:
            if self._stopping:
                self._child.send_signal(signal.SIGTERM)
            blame = self._watch(worker_id, self._child)
        finally:
            self._kill()
            code = self._child.wait()
            os.close(held)
            self._came_to_work = self._lifeline.is_registered
            self._lifeline.close()
        if self._came_to_work and code != 0:
            self._expire(worker_id, blame)
        return code

    def _watch(self, worker_id: UUID, child: subprocess.Popen[bytes]) -> UUID | None:
        """Return when the worker has ended or must end; with the task whose step ran too long, if that is why."""
        confirmed: float | None = None
        next_renewal = 0.0
        stop_by: float | None = None
        with _Exit(child.pid) as ended:
            while child.poll() is None:
                ended.wait(_LOOK)
                now = time.monotonic()
                if self._stopping and stop_by is None:
                    stop_by = now + self._options.drain_seconds + 5.0
                if stop_by is not None and now > stop_by:
                    logger.error("worker_would_not_drain")
                    return None
                overdue = self._lifeline.overdue(now)
                if overdue is not None:
                    logger.error("step_outlived_its_deadline", extra={"task_id": str(overdue)})
                    return overdue
                if not self._lifeline.is_registered:
                    continue
                confirmed = now if confirmed is None else confirmed
                # A worker that drains takes its row away itself.
                if stop_by is None and now >= next_renewal and not _is_stopped(child.pid):
                    renewed = self._renew(worker_id)
                    if renewed is False:
                        logger.error("worker_row_is_gone")
                        return None
                    confirmed = now if renewed else confirmed
                    next_renewal = now + (self._options.renew_seconds if renewed else 0.5)
                if (
                    stop_by is None
                    and time.monotonic() > confirmed + self._options.lease_seconds - self._options.margin
                ):
                    logger.error("lease_not_confirmed_in_time")
                    return None
        return None

    def _renew(self, worker_id: UUID) -> bool | None:
        """Whether the row is there; None when the database does not answer."""
        try:
            if self._renewal is None:
                self._renewal = self._connect()
            return self._renewal.renew(worker_id, self._options.lease_seconds)
        except Exception as error:  # noqa: BLE001  # whatever the driver raises, the lease is not confirmed
            logger.warning("lease_not_renewed", extra={"reason": type(error).__name__})
            self._renewal = None
            return None

    def _expire(self, worker_id: UUID, blame: UUID | None) -> None:
        """Hand back at once what the dead worker owned; if that fails, the end of its lease does."""
        try:
            renewal = self._renewal or self._connect()
            renewal.expire(worker_id, blame)
        except Exception as error:  # noqa: BLE001  # as above
            logger.warning("worker_not_expired", extra={"reason": type(error).__name__})
            self._renewal = None

    def _kill(self) -> None:
        """The whole group: tools that the worker started must not outlive it."""
        assert self._child is not None
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


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


def _is_stopped(pid: int) -> bool:
    """Whether the process was stopped by a signal. Such a worker must lose its lease."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in ("T", "t")
