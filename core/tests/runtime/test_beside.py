"""Loops beside a process's work go on, whatever they raise; and one that ends all the same is noticed."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from agentplat_migrations.connection import changing
from sqlalchemy import text
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from agentplat.contracts.store import NewTask, Store, WorkerRow
from agentplat.contracts.stored.retention import Retention
from agentplat.domain.errors import UnavailableError
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import TaskState
from agentplat.runtime import sweeper
from agentplat.runtime.app import open_platform
from agentplat.runtime.beside import loops
from agentplat.runtime.beside.loops import beside
from agentplat.runtime.lifeline import Lifeline
from agentplat.runtime.settings import RetentionSettings, Settings, load_settings
from agentplat.runtime.sweeper import sweep_forever, upkeep_forever
from agentplat.runtime.worker_main import work

BEYOND = {"postgresql": "cast('10000-06-01 00:00:00+00' as timestamptz)", "sqlite": "253433923200000000"}
SOON = {"postgresql": "clock_timestamp() + interval '1 day'", "sqlite": "4000000000000000"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(loops, "_LONGEST_PAUSE", 0.1)


def nobody(loop: str) -> None:
    raise AssertionError(f"{loop} is over")


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - what is waited for is a log line, or in the database
            await asyncio.sleep(0.02)


def move(url: str, task_id: TaskId, to: Mapping[str, str]) -> None:
    """Move the time at which the task may begin."""
    with changing(url) as connection:
        name = connection.dialect.name
        table, bound = ("agentplat.queue", str(task_id)) if name == "postgresql" else ("queue", task_id.hex)
        moved = connection.execute(
            text(f"update {table} set run_at = {to[name]} where task_id = :id"),
            {"id": bound},
        )
        assert moved.rowcount == 1


async def test_a_sweeper_outlives_a_row_that_it_cannot_read(store: Store, database_url: str) -> None:
    values: dict[str, Any] = {"tenant": "t", "type": "agent:x", "input": {}, "trace_id": "0" * 32}
    held, delayed = (NewTask(id=TaskId(uuid7()), delay=delay, **values) for delay in (0.0, 60.0))
    await store.submit([held, delayed])
    dead = WorkerRow(id=WorkerId(uuid4()), host="here", pid=1, version="0", capacity=1, plugins={})
    await store.register_worker(dead, 60.0)
    assert [claim.lease.task_id for claim in await store.claim(dead.id, 1)] == [held.id]
    await asyncio.to_thread(move, database_url, delayed.id, BEYOND)

    with capture_logs() as lines:
        async with beside({"sweeper": lambda: sweep_forever(store)}, nobody):
            await until(lambda: _said(lines, 3))
            await store.renew_worker(dead.id, 0.0)
            await asyncio.to_thread(move, database_url, delayed.id, SOON)
            await until(lambda: _is(store, held.id, TaskState.PENDING))

    broke = [line for line in lines if line["event"] == "loop_broke"]
    assert {(line["loop"], line["log_level"]) for line in broke} == {("sweeper", "error")}
    kinds = {(line["error"], line["place"]) for line in broke}
    assert len([line for line in broke if line["exc_info"]]) == len(kinds), "a traceback for each kind, once"
    assert broke[0]["exc_info"]


async def test_upkeep_outlives_a_time_that_is_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "_FIRST_UPKEEP", 0.01)
    never = Retention(audit=10_000_000)
    with capture_logs() as lines:
        async with beside({"upkeep": lambda: upkeep_forever(store, never)}, nobody):
            await until(lambda: _said(lines, 3))


async def test_the_longest_time_of_the_settings_is_one(store: Store) -> None:
    days = dict.fromkeys(("history", "tasks", "submissions", "audit"), 18_250)
    named = {f"{name}_days": number for name, number in days.items()}
    assert RetentionSettings(**named).kept == Retention(**days)
    await sweeper.upkeep_once(store, Retention(**days))


async def test_a_loop_that_returns_begins_anew() -> None:
    begun = 0

    async def once() -> None:
        nonlocal begun
        begun += 1

    async def often() -> bool:
        return begun > 3

    async with beside({"once": once}, nobody):
        await until(often)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(database_url=f"sqlite:///{tmp_path}/agentplat.db", port=0)


async def over(running: asyncio.Task[None], loop: str) -> None:
    """End the loop, as nothing of its own can."""

    async def begun() -> bool:
        return running.done() or any(task.get_name() == loop for task in asyncio.all_tasks())

    await until(begun)
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == loop]
    task.cancel()


@pytest.mark.parametrize("loop", ["sweeper", "listen", "upkeep"])
async def test_a_worker_without_one_of_its_loops_drains_and_says_so(settings: Settings, loop: str) -> None:
    worker_id = WorkerId(uuid4())
    async with open_platform(settings) as platform:
        with capture_logs() as lines:
            working = asyncio.create_task(work(platform, worker_id, Lifeline()))
            await over(working, loop)
            with pytest.raises(UnavailableError, match=loop):
                await working
        assert not await platform.store.renew_worker(worker_id, 1.0), "its row is gone: it has drained"
    assert [line["loop"] for line in lines if line["event"] == "loop_ended"] == [loop]


SERVES_WITHOUT_A_SWEEPER = """
import asyncio
from agentplat.domain.errors import UnavailableError
from agentplat.runtime.cli.serve import _serve
from agentplat.runtime.settings import load_settings

async def main():
    serving = asyncio.create_task(_serve(load_settings(port=0), with_worker=False))
    while not (found := [task for task in asyncio.all_tasks() if task.get_name() == "sweeper"]):
        await asyncio.sleep(0.02)
    found[0].cancel()
    try:
        await serving
    except UnavailableError as error:
        print(error.detail)

asyncio.run(main())
"""


def test_a_server_without_one_of_its_loops_ends_and_says_so(settings: Settings) -> None:
    environment = {**os.environ, "AGENTPLAT_DATABASE_URL": settings.database_url}
    command = [sys.executable, "-c", SERVES_WITHOUT_A_SWEEPER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "The loop 'sweeper' of this process is over. Start it again.\n"
    assert "loop_ended" in done.stderr


async def _said(lines: list[Any], times: int) -> bool:
    return [line["event"] for line in lines].count("loop_broke") >= times


async def _is(store: Store, task_id: TaskId, status: TaskState) -> bool:
    return (await store.task(task_id)).status is status
