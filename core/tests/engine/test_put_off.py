"""Writes that the database cannot take: they must not hold up those of other tasks."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from agentplat.contracts.store import Claim, Committed, NewTask, Store, WorkerRow, Write, WriteResult
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.events import BlockStarted
from agentplat.domain.ids import StepPath, TaskId, WorkerId
from agentplat.engine import journal
from agentplat.engine.journal import JournalWriter, WriteRejected

STEP = StepPath().child("step", 1)


@pytest.fixture
async def writer(store: Store) -> JournalWriter:
    return JournalWriter(store)


def block(claim: Claim, first_seq: int, input: str = "") -> Write:
    events = [BlockStarted(path=STEP, input=input)]
    return Write(lease=claim.lease, first_seq=first_seq, events=events, tenant=claim.tenant)


async def claimed(store: Store, number: int) -> Sequence[Claim]:
    given: dict[str, Any] = {"tenant": "north", "type": "agent:one", "input": {}, "trace_id": "0" * 32}
    await store.submit([NewTask(id=TaskId(uuid7()), **given) for _ in range(number)])
    worker = WorkerRow(id=WorkerId(uuid4()), host="here", pid=1, version="0.1.0", capacity=4, plugins={})
    await store.register_worker(worker, 600.0)
    return await store.claim(worker.id, number)


async def test_a_write_beyond_all_bounds_is_refused_and_the_next_one_is_kept(
    store: Store, writer: JournalWriter
) -> None:
    serving = asyncio.create_task(writer.serve())
    [claim] = await claimed(store, 1)
    with pytest.raises(WriteRejected, match="67,108,864 may be"):
        await writer.write(block(claim, 2, "x" * 64 * 1024 * 1024))
    await writer.write(block(claim, 2, "x"))
    serving.cancel()


async def test_what_is_never_taken_waits_alone(
    store: Store, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_LONGEST_PAUSE", 0.2)
    claims = await claimed(store, 20)
    culprits = {claims[3].lease.task_id, claims[11].lease.task_id, claims[12].lease.task_id}
    commit = store.commit

    async def taken(writes: Sequence[Write]) -> Sequence[WriteResult]:
        """As by a server whose memory is not enough for some of them: it ends the session."""
        if culprits & {write.lease.task_id for write in writes}:
            raise StoreUnavailable("server closed the connection unexpectedly")
        return await commit(writes)

    monkeypatch.setattr(store, "commit", taken)
    first = {claim.lease.task_id: asyncio.create_task(writer.write(block(claim, 2))) for claim in claims}
    await asyncio.sleep(0)  # all of them are in one batch
    serving = asyncio.create_task(writer.serve())
    healthy = [claim for claim in claims if claim.lease.task_id not in culprits]
    async with asyncio.timeout(20):
        await asyncio.gather(*(first[claim.lease.task_id] for claim in healthy))
        for seq in (3, 4):
            await asyncio.gather(*(writer.write(block(claim, seq)) for claim in healthy))
    assert not any(first[culprit].done() for culprit in culprits)
    mended, culprits = culprits, set()
    async with asyncio.timeout(20):
        await asyncio.gather(*(first[culprit] for culprit in mended))
    assert [len(await store.journal(claim.lease.task_id)) for claim in claims] == [
        2 if claim.lease.task_id in mended else 4 for claim in claims
    ]
    serving.cancel()


async def test_a_fault_falls_on_nobody_but_the_task_that_it_is_about(
    store: Store, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = await claimed(store, 20)
    culprit = claims[11].lease.task_id
    commit = store.commit

    async def faulty(writes: Sequence[Write]) -> Sequence[WriteResult]:
        if culprit in {write.lease.task_id for write in writes}:
            raise RuntimeError("something that nobody has thought of")
        return await commit(writes)

    monkeypatch.setattr(store, "commit", faulty)
    writing = [asyncio.create_task(writer.write(block(claim, 2))) for claim in claims]
    await asyncio.sleep(0)  # all of them are in one batch
    serving = asyncio.create_task(writer.serve())
    async with asyncio.timeout(60):
        results = await asyncio.gather(*writing, return_exceptions=True)
    assert [type(result) for result in results] == [
        RuntimeError if claim.lease.task_id == culprit else Committed for claim in claims
    ]
    serving.cancel()
