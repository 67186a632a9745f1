"""Worker and keeper whose wall clock is hours wrong, and jumps while they work: nobody reads it, so nobody notices."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentplat.contracts.interface import JournalView, Submission
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient

from .processes import Workers
from .test_kills import ended

# Python runs it at the start of every process: the file says how many seconds this process is wrong, from now on.
SHIFTED = """
import os
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import time_machine

shift = Path(os.environ["CLOCK_SHIFT"])
clock = time_machine.travel(datetime.now(timezone.utc), tick=True).start()


def follow(seconds=0.0):
    while True:
        wanted = float(shift.read_text() or 0.0)
        clock.shift(timedelta(seconds=wanted - seconds))
        seconds = wanted
        time.sleep(0.02)


threading.Thread(target=follow, daemon=True).start()
"""

TELLER = '''
import asyncio
import os
import time

from agentplat import Agent, AgentContext, FailureCode, StepError

tries = set()


class Teller(Agent[dict, dict]):
    """Tells what time it thinks it is, takes its time, and fails at first."""

    name = "teller"

    async def execute(self, input: dict, ctx: AgentContext) -> dict:
        with open(os.environ["MARKS"], "a") as marks:
            marks.write(f"{ctx.task_id} {input['step']}\\n")
        began = time.time()
        await asyncio.sleep(0.5)
        if input["fails"] and (ctx.task_id, input["step"]) not in tries:
            tries.add((ctx.task_id, input["step"]))
            raise StepError(FailureCode.UNAVAILABLE, "not now")
        return {"began": began, "ended": time.time()}
'''

STEPS = ("before", "flaky", "rest", "after")
TIMED = """
name: timed
strategy: sequential
steps:
  - {name: before, agent: teller, input: {step: before, fails: false}, timeout: 20s}
  - {name: flaky, agent: teller, input: {step: flaky, fails: true}, timeout: 20s, retry: {initial: 1s, max: 1s}}
  - {name: rest, wait: {duration: 1s}}
  - {name: after, agent: teller, input: {step: after, fails: false}, timeout: 20s}
"""
HOURS = 3600.0 * 30


@pytest.fixture
def clock(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says how wrong the clocks of the workers are."""
    folder = workers.folder / "clocks"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIFTED)
    file = folder / "shift"
    file.write_text("0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("CLOCK_SHIFT", str(file))
    (workers.folder / "agents" / "teller.py").write_text(TELLER)
    (workers.folder / "workflows" / "timed.yaml").write_text(TIMED)
    return file


def turn(clock: Path, seconds: float) -> None:
    """Every process of the workers is wrong by so many seconds from now on."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


@pytest.mark.parametrize("shift", [HOURS, -HOURS], ids=["ahead", "behind"])
async def test_a_wall_clock_that_is_wrong_and_jumps_changes_nothing(
    workers: Workers, clock: Path, client: LocalClient, shift: float
) -> None:
    turn(clock, shift)
    workers.lease_seconds = 15.0
    keeper = workers.start()
    worker = keeper.worker
    tasks = [(await client.submit(Submission(type="workflow:timed", input={}))).id for _ in range(3)]
    for seconds in (-shift, shift, 0.0, shift):
        await asyncio.sleep(0.7)
        turn(clock, seconds)
    for task_id in tasks:
        assert await ended(client, task_id) is TaskState.DONE
    last = (await client.submit(Submission(type="workflow:timed", input={}))).id
    assert await ended(client, last) is TaskState.DONE

    outputs = [step.output for task_id in (*tasks, last) for step in (await client.task(task_id)).steps]
    believed = [float(str(output["began"])) for output in outputs if isinstance(output, dict) and "began" in output]
    now = datetime.now(UTC).timestamp()
    assert any(abs(moment - now) > HOURS / 2 for moment in believed), "the fault did not strike"
    for task_id in (*tasks, last):
        _check(list(await client.journal(task_id)))
        assert workers.executions(task_id) == {"before": 1, "flaky": 2, "after": 1}
    assert keeper.worker == worker, keeper.log.read_text()
    assert not keeper.events("lease_lost") + keeper.events("lease_not_confirmed_in_time")


def _check(journal: list[JournalView]) -> None:
    """The times are the database's, and timers and retries wait as long as they say by its clock."""
    now = datetime.now(UTC)
    assert all(timedelta(0) <= now - event.at < timedelta(hours=1) for event in journal)
    began: dict[Any, tuple[datetime, float]] = {}
    for event in journal:
        if event.kind in ("wait_started", "retry_scheduled"):
            began[event.content["path"]] = (event.at, float(str(event.content["delay"])))
        if event.kind == "timer_fired":
            at, delay = began[event.content["path"]]
            assert event.at - at >= timedelta(seconds=delay * 0.95)
    assert len(began) == 2
