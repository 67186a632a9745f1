"""Killing a separate worker process changes nothing but the time that a task takes."""

import asyncio
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from agentplat_migrations.connection import changing
from sqlalchemy import select

from agentplat.contracts.interface import JournalView, Submission
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient
from agentplat.store.tables import queue

from .processes import STEPS, Keeper, Workers, children, send, stop, wait_for
from .traffic import SEED

RUNS = int(os.environ.get("AGENTPLAT_CHAOS_RUNS", "5"))


async def submit(client: LocalClient, pause: float) -> UUID:
    return (await client.submit(Submission(type="workflow:ten", input={"pause": pause}))).id


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(120):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.005)


async def ended(client: LocalClient, task_id: UUID) -> TaskState:
    async def is_over() -> bool:
        return (await client.task(task_id)).status.is_terminal

    await until(is_over)
    return (await client.task(task_id)).status


async def until_succeeded(client: LocalClient, task_id: UUID, steps: int) -> None:
    async def is_so() -> bool:
        return succeeded(await client.journal(task_id)).total() >= steps

    await until(is_so)


def succeeded(journal: Sequence[JournalView]) -> Counter[str]:
    return Counter(str(event.content["path"]) for event in journal if event.kind == "step_succeeded")


def check_journal(journal: Sequence[JournalView]) -> None:
    """Gapless; every step has one outcome, and none was started again after it."""
    assert [event.seq for event in journal] == list(range(1, len(journal) + 1))
    assert succeeded(journal) == Counter(STEPS)
    done: set[object] = set()
    for event in journal:
        path = event.content.get("path")
        assert not (event.kind == "step_started" and path in done), f"{path} was started after its outcome"
        if event.kind == "step_succeeded":
            done.add(path)
    assert [event.kind for event in journal].count("task_finished") == 1


async def test_a_kill_at_a_random_moment_changes_nothing(workers: Workers, client: LocalClient) -> None:
    chance = random.Random(SEED)
    keeper = workers.start()
    interrupted = 0
    for _ in range(RUNS):
        task_id = await submit(client, pause=0.02)
        await asyncio.sleep(0)
        await until_succeeded(client, task_id, chance.randrange(0, 9))
        await asyncio.sleep(chance.uniform(0, 0.04))
        keeper.kill_worker()

        assert await ended(client, task_id) is TaskState.DONE, f"seed {SEED}"
        journal = list(await client.journal(task_id))
        check_journal(journal)
        claims = [event.kind for event in journal].count("task_claimed")
        interrupted += claims > 1
        executions = workers.executions(task_id)
        assert set(executions) == set(STEPS)
        # Each claim may begin one step again: that one which was under way.
        assert executions.total() <= len(STEPS) + claims - 1, f"seed {SEED}: {executions}"
    assert interrupted >= RUNS // 2, f"seed {SEED}: only {interrupted} of {RUNS} kills struck a task under way"


async def test_a_kill_after_every_commit_changes_nothing(workers: Workers, client: LocalClient) -> None:
    keeper = workers.start()
    task_id = await submit(client, pause=0.3)
    for steps in range(1, len(STEPS)):
        await until_succeeded(client, task_id, steps)
        keeper.kill_worker()

    assert await ended(client, task_id) is TaskState.DONE
    journal = list(await client.journal(task_id))
    check_journal(journal)
    assert [event.kind for event in journal].count("task_claimed") == len(STEPS)


async def test_the_loss_of_worker_and_keeper_costs_a_lease_and_no_more(workers: Workers, client: LocalClient) -> None:
    keeper = workers.start()
    task_id = await submit(client, pause=0.1)
    await until_succeeded(client, task_id, 3)
    for pid in (keeper.process.pid, keeper.worker):
        send(pid, signal.SIGKILL)
    keeper.process.wait()
    workers.start()

    assert await ended(client, task_id) is TaskState.DONE
    check_journal(list(await client.journal(task_id)))


async def test_the_worker_dies_with_its_keeper(workers: Workers, client: LocalClient) -> None:
    keeper = workers.start()
    task_id = await submit(client, pause=0.1)
    await until_succeeded(client, task_id, 1)
    worker = keeper.worker
    send(keeper.process.pid, signal.SIGKILL)
    keeper.process.wait()

    wait_for(lambda: is_dead(worker))


async def test_a_stopped_worker_loses_its_lease_and_its_stale_write_is_refused(
    workers: Workers, client: LocalClient
) -> None:
    first = workers.start()
    task_id = await submit(client, pause=1.0)
    await until_succeeded(client, task_id, 1)
    stale = first.worker
    # Both are stopped, as when a virtual machine is paused: nobody is there to renew, or to kill.
    send(first.process.pid, signal.SIGSTOP)
    stop(stale, workers.database_url)
    second = workers.start()
    await _until_claimed_again(client, task_id)
    assert children(first.process.pid)[0] == stale, "the stale worker is still there"

    send(stale, signal.SIGCONT)
    refused = wait_for(lambda: first.events("lease_lost"))
    assert first.metric("agentplat_leases_lost_total") == 1
    send(first.process.pid, signal.SIGCONT)

    assert refused[0]["task_id"] == str(task_id)
    assert await ended(client, task_id) is TaskState.DONE
    check_journal(list(await client.journal(task_id)))
    assert second.events("lease_lost") == []


async def test_a_spare_takes_over_at_once_from_a_worker_that_dies(workers: Workers, client: LocalClient) -> None:
    keeper = workers.start()
    task_id = await submit(client, pause=3.0)  # ten of these: there is work left when the spare is ready
    spare = await _spare(keeper)
    keeper.kill_worker()

    await until_succeeded(client, task_id, 1 + succeeded(await client.journal(task_id)).total())
    assert keeper.worker == spare
    assert [event["restart_in"] for event in keeper.events("worker_died")] == [0.0]


async def test_a_spare_that_was_started_with_other_files_takes_nothing_over(
    workers: Workers, client: LocalClient
) -> None:
    keeper = workers.start()
    task_id = await submit(client, pause=3.0)
    spare = await _spare(keeper)
    (workers.folder / "agents" / "new.py").write_text("")
    keeper.kill_worker()

    await until_succeeded(client, task_id, 1 + succeeded(await client.journal(task_id)).total())
    assert keeper.worker != spare
    assert "changed since this spare was started" in keeper.log.read_text()


async def _spare(keeper: Keeper) -> int:
    """The process id of the one that stands by, when it has started and waits."""

    async def waits() -> bool:
        for _ in range(20):
            found = children(keeper.process.pid)
            if len(found) < 2 or not _is_asleep(found[1]):
                return False
            await asyncio.sleep(0.05)
        return True

    await until(waits)
    return children(keeper.process.pid)[1]


def _is_asleep(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(thread.read_text().rpartition(")")[2].split()[0] == "S" for thread in threads)


async def test_sigterm_hands_back_what_is_left_and_ends_cleanly(workers: Workers, client: LocalClient) -> None:
    keeper = workers.start()
    task_id = await submit(client, pause=0.1)
    await until_succeeded(client, task_id, 2)
    keeper.process.terminate()

    assert keeper.process.wait(60) == 0
    task = await client.task(task_id)
    assert task.status is TaskState.PENDING
    assert all(step.status is TaskState.DONE for step in task.steps)
    workers.start()
    assert await ended(client, task_id) is TaskState.DONE
    assert workers.executions(task_id) == Counter(STEPS)


async def test_a_step_that_does_not_end_makes_no_suspects_of_a_worker_that_drains(
    workers: Workers, client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPLAT_WORKER__DRAIN_SECONDS", "2.5")  # longer than its lease
    keeper = workers.start()
    ids = [(await client.submit(Submission(type="agent:stubborn", input={"number": number}))).id for number in range(5)]

    async def all_begun() -> bool:
        return all(workers.executions(task_id) for task_id in ids)

    await until(all_begun)
    keeper.process.terminate()

    assert keeper.process.wait(60) == 0
    log = keeper.log.read_text()
    assert "worker_would_not_drain" in log, "the fault did not strike"
    assert "workers_swept" not in log, "its lease is renewed while it drains"
    with changing(workers.database_url) as connection:
        schema = {"agentplat": None} if connection.dialect.name == "sqlite" else {}
        rows = connection.execution_options(schema_translate_map=schema).execute(select(queue)).all()
    assert {row.task_id for row in rows} == set(ids)
    assert [(row.worker_id, row.suspect, row.crashes, row.ready) for row in rows] == [(None, False, 0, True)] * 5


async def _until_claimed_again(client: LocalClient, task_id: UUID) -> None:
    async def is_so() -> bool:
        return [event.kind for event in await client.journal(task_id)].count("task_claimed") > 1

    await until(is_so)


def is_dead(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in ("Z", "X")


async def test_a_worker_that_cannot_start_gives_up_and_says_why(workers: Workers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        keeper = workers.start(metrics_port=taken.getsockname()[1])

        assert keeper.process.wait(60) == 2
    assert "metrics_port" in keeper.log.read_text()
