"""Isolated steps in real workers: they harm nobody else, and they do not outlive whoever they work for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agentplat.contracts.interface import Submission
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient

from .processes import Workers, send, wait_for
from .test_kills import check_journal, ended, submit, until_succeeded

TOOLS = '''
import ctypes
import os
import subprocess
import sys
import time

from agentplat import Effect, Tool, ToolContext


class Segfault(Tool[dict, str]):
    """Falls."""

    name = "segfault"
    effect = Effect.PURE
    isolated = True

    def execute(self, input: dict, ctx: ToolContext) -> str:
        return ctypes.string_at(0).decode()


class Breeder(Tool[dict, str]):
    """Starts children, of which one is in another session, and writes down who they are."""

    name = "breeder"
    effect = Effect.PURE
    isolated = True

    def execute(self, input: dict, ctx: ToolContext) -> str:
        sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
        children = [subprocess.Popen(sleep, start_new_session=own).pid for own in (False, True)]
        with open(input["marks"], "a") as marks:
            marks.write(" ".join(map(str, (*children, os.getpid(), os.getppid()))) + "\\\\n")
        time.sleep(1000)
        return ""
'''.replace("\\\\n", "\\n")


@pytest.fixture
def family(workers: Workers) -> Path:
    """Where the breeders write down, one line an attempt, who has to be gone."""
    (workers.folder / "tools").mkdir()
    (workers.folder / "tools" / "isolated.py").write_text(TOOLS)
    return workers.folder / "family"


async def test_a_crash_in_isolation_leaves_the_worker_and_its_other_tasks_alone(
    workers: Workers, family: Path, client: LocalClient
) -> None:
    keeper = workers.start()
    neighbour = await submit(client, pause=0.2)
    await until_succeeded(client, neighbour, 1)
    worker = keeper.worker

    fallen = (await client.submit(Submission(type="tool:segfault", input={}))).id

    assert await ended(client, fallen) is TaskState.ERROR
    failure = (await client.task(fallen)).failure
    assert failure is not None
    assert failure.details["signal"] == "SIGSEGV"
    assert await ended(client, neighbour) is TaskState.DONE
    check_journal(list(await client.journal(neighbour)))
    assert keeper.worker == worker


@pytest.mark.parametrize("killed", ["the worker", "its keeper", "both"])
async def test_nothing_of_an_isolated_step_outlives_its_worker(
    killed: str, workers: Workers, family: Path, client: LocalClient
) -> None:
    keeper = workers.start()
    task = (await client.submit(Submission(type="tool:breeder", input={"marks": str(family)}))).id
    pids = [int(pid) for pid in wait_for(lambda: lines(family))[0].split()]
    worker = keeper.worker
    assert not any(map(is_gone, pids))

    for pid in {"the worker": [worker], "its keeper": [keeper.process.pid], "both": [keeper.process.pid, worker]}[
        killed
    ]:
        send(pid, signal.SIGKILL)

    wait_for(lambda: all(map(is_gone, (worker, *pids))))
    if killed == "the worker":
        wait_for(lambda: len(lines(family)) == 2)  # its replacement begins again
        await client.cancel(task)
        assert await ended(client, task) is TaskState.CANCELLED
        wait_for(lambda: all(is_gone(int(pid)) for line in lines(family) for pid in line.split()))


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state in ("Z", "X")
