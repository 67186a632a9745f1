"""A database that real worker processes work on, and are killed on, is clean at every moment and at the end."""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from agentplat_doctor.checks import examine
from agentplat_doctor.report import Report
from agentplat_migrations.schema import upgrade
from agentplat_testkit.databases import Migrate

from agentplat.contracts.interface import Submission
from agentplat.domain.errors import ConflictError, IllegalTransition
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import Settings

SEED = int(os.environ.get("AGENTPLAT_DOCTOR_SEED", str(random.SystemRandom().randrange(10**6))))
KILLS = 4
_AGENT = '''
import asyncio
import random

from agentplat import Agent, AgentContext, FailureCode, StepError
from pydantic import BaseModel


class Input(BaseModel):
    pause: float = 0.02
    fails: float = 0.0
    lasting: bool = False


class Output(BaseModel):
    said: str


class Worker(Agent[Input, Output]):
    """Asks a model, takes its time, and fails now and then."""

    name = "moody"

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        reply = await ctx.llm.complete("Summarize:\\nThe lease ends. The sweeper returns the task. Another claims it.")
        await asyncio.sleep(input.pause)
        if random.random() < input.fails:
            raise StepError(FailureCode.UNAVAILABLE, "Not now.", retryable=not input.lasting)
        return Output(said=reply.text)
'''
_WORKFLOWS = {
    "plain": """
name: plain
strategy: sequential
steps:
  - {name: first, agent: moody, input: {fails: 0.8}, retry: {max_attempts: 30, initial: 10ms, max: 50ms}}
  - {name: never, agent: moody, when: "false"}
  - {name: sum, tool: calculator, input: {expression: "6 * 7"}}
  - {name: last, agent: moody}
""",
    "patient": """
name: patient
strategy: sequential
steps:
  - {name: before, agent: moody}
  - {name: rest, wait: {duration: 300ms}}
  - {name: answer, wait: {signal: go, timeout: 1h}}
  - {name: after, agent: moody}
""",
    "slow": "name: slow\nsteps:\n  - {name: only, agent: moody, input: {pause: 1.5}}\n",
    "doomed": "name: doomed\nsteps:\n  - {name: only, agent: moody, input: {fails: 1.0, lasting: true}}\n",
    "late": """
name: late
strategy: sequential
budget: {wall_time: 1s}
steps:
  - {name: rest, wait: {duration: 1m}}
  - {name: after, agent: moody}
""",
}


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    """Here the database begins empty."""

    def migrated(url: str) -> None:
        upgrade(url)

    return migrated


@pytest.fixture
def settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with an agent and workflows of its own."""
    for folder in ("agents", "workflows"):
        (tmp_path / folder).mkdir()
    (tmp_path / "agents" / "moody.py").write_text(_AGENT)
    for name, document in _WORKFLOWS.items():
        (tmp_path / "workflows" / f"{name}.yaml").write_text(document.lstrip())
    monkeypatch.setenv("AGENTPLAT_IDENTITY__KEY", "0123456789abcdef")
    return Settings(project=tmp_path, database_url=re.sub(r"^(\w+)\+\w+:", r"\1:", database_url))


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[LocalClient]:
    async with open_platform(settings) as platform:
        yield platform.client()


@pytest.fixture
def keepers(settings: Settings, client: LocalClient) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Two keepers, each with its worker."""
    variables = {
        **os.environ,
        "AGENTPLAT_PROJECT": str(settings.project),
        "AGENTPLAT_DATABASE_URL": settings.database_url,
        "AGENTPLAT_WORKER__LEASE_SECONDS": "4",
        "AGENTPLAT_WORKER__RENEW_SECONDS": "1",
        "AGENTPLAT_WORKER__POLL_SECONDS": "0.05",
    }
    command = [sys.executable, "-m", "agentplat.runtime.cli", "worker"]
    log = (settings.project / "workers.log").open("wb")
    started = [subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=settings.project) for _ in "12"]
    yield started
    for keeper in started:
        keeper.terminate()
    for keeper in started:
        try:
            keeper.wait(30)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
    log.close()


def worker_of(keeper: "subprocess.Popen[bytes]") -> int:
    """The process of its worker; a keeper that has lost one starts another."""
    ends = time.monotonic() + 60
    while not (children := Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()):
        assert time.monotonic() < ends, "the keeper has no worker"
        time.sleep(0.02)
    return int(children[0])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(200):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.05)


async def state_of(client: LocalClient, task_id: UUID) -> TaskState:
    return (await client.task(task_id)).status


def assert_holds(report: Report) -> None:
    assert [(f.predicate.code, f.count, f.examples) for f in report.errors] == [], f"seed {SEED}"


@pytest.mark.timeout(600)
async def test_a_database_that_workers_were_killed_on_is_clean_at_every_moment(
    settings: Settings, client: LocalClient, keepers: list["subprocess.Popen[bytes]"]
) -> None:
    chance = random.Random(SEED)
    names = ["plain"] * 6 + ["patient"] * 3 + ["slow"] * 3 + ["doomed", "late"]
    submitted = [(await client.submit(Submission(type=f"workflow:{name}", input={}))).id for name in names]
    submitted.append((await client.submit(Submission(type="agent:moody", input={}, delay=1.0))).id)
    of = dict(zip(submitted, [*names, "agent"], strict=True))
    looks = 0

    async def look_all_the_time() -> None:
        nonlocal looks
        while True:
            assert_holds(await asyncio.to_thread(examine, settings.database_url))
            looks += 1
            await asyncio.sleep(0.1)

    async def trouble() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            keeper = chance.choice(keepers)
            os.kill(await asyncio.to_thread(worker_of, keeper), signal.SIGKILL)

    async def steer() -> None:
        for task_id, name in of.items():
            try:
                if name == "patient":
                    await client.signal(task_id, "go", None, "once")
                elif name == "slow" and chance.random() < 0.5:
                    await client.cancel(task_id)
            except (ConflictError, IllegalTransition):
                continue  # it was quicker
            await asyncio.sleep(chance.uniform(0, 0.2))

    async def over() -> bool:
        return all([(await state_of(client, task_id)).is_terminal for task_id in submitted])

    looking = asyncio.create_task(look_all_the_time())
    await asyncio.gather(trouble(), steer())
    await asyncio.wait([looking, asyncio.create_task(until(over))], return_when=asyncio.FIRST_COMPLETED)
    assert not looking.done() or looking.exception() is None, looking.exception()
    looking.cancel()

    ended = {name: {(await state_of(client, t)).value for t, other in of.items() if other == name} for name in names}
    assert ended["doomed"] == {"error"}
    assert ended["late"] == {"error"}
    assert ended["patient"] == {"done"}
    journals = [await client.journal(task_id) for task_id in submitted]
    claims = [sum(event.kind == "task_claimed" for event in journal) for journal in journals]
    kinds = {event.kind for journal in journals for event in journal}
    # The faults struck: tasks changed hands while a step was under way, others failed, waited and were told.
    attempts = [e.content["attempt"] for j in journals for e in j if e.kind == "step_started"]
    assert max(claims) > 1, f"seed {SEED}"
    assert any(isinstance(number, int) and number > 1 for number in attempts), f"seed {SEED}"
    assert {"retry_scheduled", "wait_started", "timer_fired", "signal_received", "step_skipped"} <= kinds
    assert looks > 3
    report = await asyncio.to_thread(examine, settings.database_url)
    assert_holds(report)
    assert report.tasks == len(submitted)
    assert {finding.predicate.code for finding in report.warnings} <= {"commits_may_be_lost"}
