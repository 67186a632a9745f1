import asyncio

from .harness import Engine


async def test_every_state_that_a_reader_could_have_seen_last_is_told(engine: Engine) -> None:
    before = await engine.submit("agent:one")
    async with engine.client.changes() as changes, asyncio.timeout(30):
        task_id = await engine.submit("agent:two")
        told = []
        engine.start_worker()
        async for change in changes:
            if change.task.id in (before, task_id):
                told.append((change.task.id, change.task.status.value))
            if {(before, "done"), (task_id, "done")} <= set(told):
                break

    assert (before, "pending") not in told
    assert len(told) == len(set(told))
