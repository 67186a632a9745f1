"""The journal writer: what many tasks have to say at one moment becomes one transaction.

It commits at once when idle; while a commit is under way, everything that arrives joins the next one. So an idle
worker adds no delay, and a busy one pays a single fsync for many steps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agentplat import telemetry
from agentplat.contracts.store import Committed, Keep, Lost, Rejected, Store, Write, WriteResult
from agentplat.domain.errors import LeaseLost, StoreUnavailable

MAX_WRITES = 64
"""Enough to make a commit cheap, and few enough that of a hundred tasks the others go on beside it."""
_AT_ONCE = 2
MAX_BYTES = 8 * 1024 * 1024
MAX_WRITE = 64 * 1024 * 1024
"""Of one task. PostgreSQL takes no message of 1 GB, and what a write brings is in it several times."""
T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class WriteRejected(Exception):
    """The database refused the values of a write. Nothing of it was kept, and the lease still holds."""


@dataclass(slots=True)
class _Pending:
    write: Write
    task: int  # whose it is. Not the id itself: hashing that is a call of Python, of which a write needs half a dozen
    size: int
    done: asyncio.Future[Committed]


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
        self._busy: set[int] = set()  # tasks of which a write is being committed
        self._put_off = asyncio.Queue[list[list[_Pending]]]()  # batches that the database did not take

    async def write(self, write: Write) -> Committed:
        """When and how `write` was committed. Raises LeaseLost, or WriteRejected; waits while the database is away.

        A cancelled caller does not take its write back: whether it was committed would be unknown.
        """
        try:
            size = _size(write)
        except (TypeError, ValueError) as error:
            raise WriteRejected(str(error)) from error
        if size > MAX_WRITE:
            raise WriteRejected(
                f"it is of {size:,} bytes, with all that is to be kept with it, and {MAX_WRITE:,} may be"
            )
        pending = _Pending(write, write.lease.task_id.int, size, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        self._arrived.set()
        return await pending.done

    async def serve(self) -> None:
        """Commit what arrives, until cancelled."""
        under_way: set[asyncio.Task[bool]] = set()
        repeating = asyncio.create_task(self._repeat())

        def ended(commit: asyncio.Task[bool]) -> None:
            under_way.discard(commit)
            self._arrived.set()

        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while len(under_way) < _AT_ONCE and (batch := self._take()):
                    commit = asyncio.create_task(self._commit(batch))
                    under_way.add(commit)
                    commit.add_done_callback(ended)
        finally:
            for each in (*under_way, repeating):
                each.cancel()

    def _take(self) -> list[list[_Pending]]:
        """The next batch, bounded in number and bytes, in groups that are one write each.

        Of one task there is one write in a transaction, and one transaction at a time, since each builds on the last.
        Recorded calls build on nothing, so what is waiting behind them joins them.
        """
        groups: dict[int, list[_Pending]] = {}
        later: deque[_Pending] = deque()
        size = 0
        while self._pending and len(groups) < MAX_WRITES and (not groups or size < MAX_BYTES):
            pending = self._pending.popleft()
            group = groups.get(pending.task)
            if pending.task in self._busy or (group is not None and not _is_open(group[-1].write)):
                later.append(pending)
                continue
            if group is None:
                group = groups[pending.task] = []
            group.append(pending)
            size += pending.size
        later.extend(self._pending)
        self._pending = later
        self._busy.update(groups)
        return list(groups.values())

    async def _repeat(self) -> None:
        """Commit what was put off, batch by batch: all of it when the database is back, or less and less."""
        pause = _FIRST_PAUSE
        while True:
            batch = await self._put_off.get()
            await asyncio.sleep(pause)
            pause = 0.0 if await self._commit(batch) else min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)

    async def _commit(self, batch: list[list[_Pending]]) -> bool:
        """False when the database did not take it: it is put off in halves, and nothing else of its tasks is begun.

        The leases may still hold then; if not, the commit says so. In the end what is never taken waits alone.
        """
        try:
            results = await self._store.commit([_merged([pending.write for pending in group]) for group in batch])
        except StoreUnavailable as error:
            telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
            return self._halve(batch)
        except Exception as error:  # noqa: BLE001  # a fault of ours, or of the database, must not end the writer
            if len(batch) > 1:  # nor the turns of others than the one that it is about
                return self._halve(batch)
            for pending in batch[0]:
                if not pending.done.done():
                    pending.done.set_exception(error)
        else:
            self._answer(batch, results)
        self._busy.difference_update([group[0].task for group in batch])
        self._arrived.set()
        return True

    def _halve(self, batch: list[list[_Pending]]) -> bool:
        half = len(batch) // 2
        for part in filter(None, (batch[:half], batch[half:])):
            self._put_off.put_nowait(part)
        return False

    def _answer(self, batch: list[list[_Pending]], results: Sequence[WriteResult]) -> None:
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
    if len(writes) == 1:
        return writes[0]
    return replace(writes[-1], calls=[call for write in writes for call in write.calls])


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
    events = sum([len(text) for _, text in write.encoded])
    return events + sum(len(repr(call.content)) for call in write.calls) if write.calls else events
