"""A process that has everything imported and forks workers: so cheap that several may be killed in a second.

It is run as a script, reads orders from its input and answers on its output, a line of JSON each. A worker that it
forks is the real one, but for its store, which may end the process at a point that was named.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from agentplat.contracts.store import Claim, End, Release, Store, Write, WriteResult
from agentplat.domain.ids import WorkerId
from agentplat.plugins.host import load_plugins
from agentplat.runtime.app import Platform, open_platform
from agentplat.runtime.lifeline import Lifeline, die_with_parent
from agentplat.runtime.logs import configure_logs
from agentplat.runtime.settings import Settings, load_settings
from agentplat.runtime.worker_main import work
from agentplat.store.connect import open_store


class Point(StrEnum):
    """Where a worker ends itself."""

    AFTER_CLAIM = "after_claim"  # it owns tasks, and nobody has begun them
    BEFORE_COMMIT = "before_commit"
    IN_COMMIT = "in_commit"  # sent, and perhaps kept: it never hears of it
    AFTER_COMMIT = "after_commit"  # kept, and nothing was made of it
    BEFORE_WAKE = "before_wake"  # children have ended, and their parents are not woken
    IN_DRAIN = "in_drain"  # it hands tasks back, and never hears whether they are
    AFTER_DRAIN = "after_drain"  # it has handed everything back, and its row is gone


class Doomed:
    """A store that ends its process when `point` is reached for the `at`-th time, and says so in the file of deaths.

    In the middle of a commit: so many seconds `after` it was sent.
    """

    def __init__(self, store: Store, point: str, at: int, after: float, deaths: str) -> None:
        self._store, self._point, self._left, self._after = store, point, at, after
        self._deaths = deaths
        self._wakes = store._wake_parents  # type: ignore[attr-defined]
        store._wake_parents = self._wake  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim(self, worker_id: WorkerId, limit: int, **options: Any) -> Sequence[Claim]:
        claims = await self._store.claim(worker_id, limit, **options)
        if claims:
            self._reach(Point.AFTER_CLAIM)
        return claims

    async def commit(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        self._reach(Point.BEFORE_COMMIT)
        if self._is_last(Point.IN_COMMIT) or (
            any(isinstance(write.closing, Release) for write in writes) and self._is_last(Point.IN_DRAIN)
        ):
            # Somewhere on the way to the database and back, or when the answer is there and nobody has heard it.
            asyncio.get_running_loop().call_later(self._after, self._die)
            await self._store.commit(writes)
            self._die()
        results = await self._store.commit(writes)
        self._reach(Point.AFTER_COMMIT)
        return results

    async def _wake(self, writes: Sequence[Write], results: Sequence[WriteResult]) -> None:
        if any(isinstance(write.closing, End) and write.is_child for write in writes):
            self._reach(Point.BEFORE_WAKE)
        await self._wakes(writes, results)

    async def deregister_worker(self, worker_id: WorkerId) -> None:
        await self._store.deregister_worker(worker_id)
        self._reach(Point.AFTER_DRAIN)

    def _is_last(self, point: Point) -> bool:
        """Whether the point is reached now for the time that was named."""
        if point != self._point:
            return False
        self._left -= 1
        return self._left == 0

    def _reach(self, point: Point) -> None:
        if self._is_last(point):
            self._die()

    def _die(self) -> None:
        file = os.open(self._deaths, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{self._point}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


async def _rehearse(settings: Settings) -> None:
    """So that everything is imported, and what is compiled at first use is compiled."""
    async with open_platform(settings) as platform:
        await platform.store.claim(WorkerId(uuid4()), 1)
        await platform.store.sweep()


async def _live(platform: Platform, order: dict[str, Any], lifeline: Lifeline) -> None:
    """What `open_platform` does of which no other process may have a part, and then what every worker does."""
    await platform.store.open()
    platform.store = Doomed(platform.store, order["point"], order["at"], order["after"], order["deaths"])
    await work(platform, WorkerId(UUID(order["worker"])), lifeline)
    await platform.store.close()


def _fork(platform: Platform, order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        die_with_parent()
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for fd, stands_for in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(fd, stands_for)
        configure_logs(platform.settings.log)
        asyncio.run(_live(platform, order, Lifeline()))
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        # Past everything that would be ended for the parent too: what is registered to be done at exit, open files.
        os._exit(code)


def _say(**answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fork on order, and tell of every end, until the input ends."""
    settings = load_settings()
    asyncio.run(_rehearse(settings))
    platform = Platform(settings, load_plugins(settings.selection), open_store(settings.database_url))
    assert platform.plugins.records  # read from many files; workers say it when they register
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)  # these two as in the main function of every worker
    sys.setswitchinterval(0.0005)
    pending = b""
    while True:
        if select.select([0], [], [], 0.01)[0]:
            piece = os.read(0, 65536)
            if not piece:
                return
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                order = json.loads(line)
                _say(worker=order["worker"], pid=_fork(platform, order))
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                _say(ended=ended[0], code=os.waitstatus_to_exitcode(ended[1]))
        except ChildProcessError:
            continue


if __name__ == "__main__":
    main()
