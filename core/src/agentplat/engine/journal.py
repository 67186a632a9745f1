"""The journal writer: what many tasks have to say at one moment becomes one transaction.

It commits at once when idle; while a commit is under way, everything that arrives joins the next one. So an idle
worker adds no delay, and a busy one pays a single fsync for many steps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from agentplat import telemetry
from agentplat.contracts.store import Committed, Keep, Lost, Rejected, Store, Write, WriteResult
from agentplat.domain.errors import LeaseLost, StoreUnavailable
from agentplat.domain.events import encode
from agentplat.domain.ids import TaskId

MAX_WRITES = 500
MAX_BYTES = 8 * 1024 * 1024
T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class WriteRejected(Exception):
    """The database refused the values of a write. Nothing of it was kept, and the lease still holds."""


@dataclass(slots=True)
class _Pending:
    write: Write
    size: int
    done: asyncio.Future[Committed] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` gives, as soon as the database answers."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class JournalWriter:
    """One per worker process. `serve` must be running while `write` is awaited."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: deque[_Pending] = deque()
        self._arrived = asyncio.Event()

    async def write(self, write: Write) -> Committed:
        """When and how `write` was committed. Raises LeaseLost, or WriteRejected; waits while the database is away."""
        pending = _Pending(write, _size(write))
        pending.done.add_done_callback(_seen)
        self._pending.append(pending)
        self._arrived.set()
        # A cancelled caller does not take its write back: whether it was committed would be unknown.
        return await asyncio.shield(pending.done)

    async def serve(self) -> None:
        """Commit what arrives, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._pending:
                await self._commit(self._take())

    def _take(self) -> list[list[_Pending]]:
        """The next batch, bounded in number and bytes, in groups that are one write each.

        Of one task there is one write in a transaction, since each builds on the last. Recorded calls build on nothing,
        so what is waiting behind them joins them.
        """
        groups: dict[TaskId, list[_Pending]] = {}
        later: deque[_Pending] = deque()
        size = 0
        while self._pending and len(groups) < MAX_WRITES and (not groups or size < MAX_BYTES):
            pending = self._pending.popleft()
            group = groups.setdefault(pending.write.lease.task_id, [])
            if group and not _is_open(group[-1].write):
                later.append(pending)
                continue
            group.append(pending)
            size += pending.size
        later.extend(self._pending)
        self._pending = later
        return list(groups.values())

    async def _commit(self, batch: list[list[_Pending]]) -> None:
        writes = [_merged([pending.write for pending in group]) for group in batch]
        # The leases may still hold when the database is back; if not, the commit says so.
        results = await patiently(lambda: self._store.commit(writes))
        telemetry.COMMITS.inc()
        for group, result in zip(batch, results, strict=True):
            if isinstance(result, Lost):
                telemetry.LEASES_LOST.inc()
                task_id = str(group[0].write.lease.task_id)
                telemetry.log.warning(telemetry.LEASE_LOST, task_id=task_id, reason=result.reason)
            for pending in group:
                if not pending.done.done():
                    _answer(pending, result)


def _is_open(write: Write) -> bool:
    """Whether another write of the same task may be joined to this one."""
    return not write.events and isinstance(write.closing, Keep)


def _merged(writes: list[Write]) -> Write:
    return replace(writes[-1], calls=[call for write in writes for call in write.calls])


def _seen(done: asyncio.Future[Committed]) -> None:
    """Mark the outcome as read: a caller that was cancelled meanwhile will not."""
    if not done.cancelled():
        done.exception()


def _answer(pending: _Pending, result: WriteResult) -> None:
    match result:
        case Committed():
            pending.done.set_result(result)
        case Lost():
            pending.done.set_exception(LeaseLost(f"The lease is lost: {result.reason}. Drop the work."))
        case Rejected():
            pending.done.set_exception(WriteRejected(result.reason))


def _size(write: Write) -> int:
    """About how many bytes the write brings: exact enough to keep a batch bounded."""
    return sum(len(repr(encode(event)[1])) for event in write.events) + sum(
        len(repr(call.content)) for call in write.calls
    )
