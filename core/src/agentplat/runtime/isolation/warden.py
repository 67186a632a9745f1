"""The parent of one isolated step: `python -m agentplat.runtime.isolation.warden`, started by a worker.

It forks before anything foreign is imported, and does nothing but wait. When the step's process ends, or the worker
closes the pipe, or the worker is gone, it kills what the step has started, and ends as the step ended. It is in a
session of its own, so that it outlives a kill of the worker's process group by as long as that takes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
from pathlib import Path

from agentplat.runtime.lifeline import die_with_parent

_PR_SET_CHILD_SUBREAPER = 36
_LOOK = 1000  # milliseconds between two looks whether the worker is there


def main() -> None:
    """Never returns."""
    worker = os.getppid()
    _adopt_orphans()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    body = os.fork()
    if body == 0:
        os.close(woken)
        os.close(wake)
        _become_body()
    _own_group(body)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # that the step has ended is seen by the end of its output
    status = _wait(body, worker, woken)
    _kill_all(body)
    _end_like(status)


def _adopt_orphans() -> None:
    """What the step's processes leave behind comes to this one, in whatever session it is. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _own_group(body: int) -> None:
    try:
        os.setpgid(body, body)
    except (PermissionError, ProcessLookupError):  # it did so itself, or has ended
        return


def _wait(body: int, worker: int, woken: int) -> int | None:
    """The status with which the body ended; None when it has to be ended."""
    poll = select.poll()
    poll.register(0, 0)  # the worker's pipe: nothing is read here, only its end is seen
    poll.register(woken, select.POLLIN)
    while True:
        for fd, _ in poll.poll(_LOOK):
            if fd == 0:
                return None
            os.read(woken, 4096)
        pid = body
        while pid:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == body:
                return status
        if os.getppid() != worker:
            return None


def _kill_all(body: int) -> None:
    """The step's group, which cannot grow meanwhile; then, one generation after the other, what had left the group."""
    _kill(body, of_group=True)
    while True:
        for pid in _children():
            _kill(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int, *, of_group: bool = False) -> None:
    try:
        (os.killpg if of_group else os.kill)(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _end_like(status: int | None) -> None:
    code = -signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def _become_body() -> None:
    """Never returns."""
    os.setpgid(0, 0)
    die_with_parent()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Foreign code may read standard input and write to standard output; neither is the pipe to the worker.
    orders, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    from agentplat.runtime.isolation import body

    body.main(orders, answers)


if __name__ == "__main__":
    main()
