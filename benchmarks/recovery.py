"""How long a task stands still when its worker dies, drains or is blocked, with real processes.

    python benchmarks/recovery.py                       # all of it, on PostgreSQL: a quarter of an hour
    python benchmarks/recovery.py lost --trials 40      # worker and keeper are killed, with the default lease
    python benchmarks/recovery.py killed                # the worker alone: until its replacement runs the step again
    python benchmarks/recovery.py drained               # SIGTERM: until another worker runs what is left
    python benchmarks/recovery.py blocked hogged        # the loop, or the interpreter, is held for four leases

Without --database-url a server of its own is started, which waits for the disk at every commit; `sqlite` makes a file.
A named database must be empty. A trial that shows nothing (the task was not under way, nothing was held) stops the
program.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from agentplat_migrations.schema import upgrade
from agentplat_testkit.postgres import PostgresServer

from agentplat.contracts.interface import JournalView, Submission
from agentplat.domain.json import JsonObject
from agentplat.engine.client.local import LocalClient
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import load_settings

KEY = "0123456789abcdef"
PATIENCE = 120.0
AGENT = '''
import asyncio
import ctypes
import os
import time

from agentplat import Agent, AgentContext


class Probe(Agent[dict, dict]):
    """Leaves a mark at each execution; only the first one does as it is told."""

    name = "probe"

    async def execute(self, input: dict, ctx: AgentContext) -> dict:
        mark = os.path.join(os.environ["MARKS"], f"{ctx.task_id}.{input['step']}")
        known = os.path.exists(mark)
        with open(mark, "a") as marks:
            marks.write(f"{os.getpid()} {time.monotonic()}\\n")
        seconds = input["seconds"]
        match input["manner"]:
            case "wait" if not known:
                await asyncio.sleep(seconds)
            case "block":
                time.sleep(seconds)
            case "hog":
                ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))  # C that keeps the interpreter
        with open(mark, "a") as marks:
            marks.write(f"{os.getpid()} {time.monotonic()}\\n")
        return {}
'''
STEP = '  - {{name: s{n}, agent: probe, input: {{step: {n}, manner: wait, seconds: "${{{{ input.seconds }}}}"}}}}\n'


class Keepers:
    """The keepers of one measurement, over one project and one database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "agents").mkdir()
        (folder / "agents" / "probe.py").write_text(AGENT)
        (folder / "workflows").mkdir()
        steps = "".join(STEP.format(n=n) for n in range(1, 31))
        (folder / "workflows" / "thirty.yaml").write_text(f"name: thirty\nstrategy: sequential\nsteps:\n{steps}")
        self.marks = folder / "marks"
        self.marks.mkdir()

    def start(self, *, concurrency: int = 1, lease: float = 15.0, renew: float = 4.0) -> subprocess.Popen[bytes]:
        """A keeper, which starts its worker."""
        environment = {
            **os.environ,
            "AGENTPLAT_DATABASE_URL": self.url,
            "AGENTPLAT_IDENTITY__KEY": KEY,
            "AGENTPLAT_LOG__FORMAT": "json",
            "AGENTPLAT_WORKER__CONCURRENCY": str(concurrency),
            "AGENTPLAT_WORKER__LEASE_SECONDS": str(lease),
            "AGENTPLAT_WORKER__RENEW_SECONDS": str(renew),
            "MARKS": str(self.marks),
        }
        with self._log(len(self.started)).open("wb") as log:
            command = [sys.executable, "-m", "agentplat.runtime.cli", "worker"]
            keeper = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(keeper)
        return keeper

    def _log(self, number: int) -> Path:
        return self.folder / f"worker-{number}.log"

    def events(self, *names: str) -> int:
        """How often these were logged, by all keepers and workers together."""
        lines = [
            line for n in range(len(self.started)) for line in self._log(n).read_text(errors="replace").split("\n")
        ]
        return sum(any(f'"{name}"' in line for name in names) for line in lines)

    def executions(self, task: UUID, step: int = 0) -> list[tuple[int, float]]:
        """Process and moment of each beginning and end of the step."""
        mark = self.marks / f"{task}.{step}"
        lines = mark.read_text().splitlines() if mark.exists() else []
        return [(int(pid), float(at)) for pid, at in (line.split() for line in lines)]

    def again(self, task: UUID, step: int = 0) -> bool:
        """Whether there is more than the first beginning."""
        return len(self.executions(task, step)) > 1

    def end(self) -> None:
        """Kill what is left."""
        for keeper in self.started:
            keeper.kill()  # its worker dies with it
            keeper.wait()


def worker_of(keeper: subprocess.Popen[bytes]) -> int | None:
    """The process id of the keeper's worker; None between two of them."""
    children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
    return int(children[0]) if children else None


async def until(holds: Callable[..., Any], what: str, *given: Any) -> None:
    """Wait; end the program when that takes too long."""
    ends = time.monotonic() + PATIENCE
    while not holds(*given):
        if time.monotonic() > ends:
            raise SystemExit(f"waited {PATIENCE:g} s in vain: {what}")
        await asyncio.sleep(0.01)


async def submit(client: LocalClient, seconds: float, manner: str = "wait") -> UUID:
    """A task of one step."""
    given: JsonObject = {"step": 0, "manner": manner, "seconds": seconds}
    return (await client.submit(Submission(type="agent:probe", input=given))).id


async def working(keepers: Keepers, client: LocalClient) -> UUID:
    """A task that is under way."""
    task = await submit(client, seconds=600)
    await until(keepers.executions, "the step did not begin", task)
    return task


async def lost(keepers: Keepers, client: LocalClient, trials: int) -> list[float]:
    """Worker and keeper die; others have to notice by the end of the lease."""
    taken: list[float] = []
    while len(taken) < trials:
        victims = [keepers.start() for _ in range(min(6, trials - len(taken)))]
        tasks = [await submit(client, seconds=600) for _ in victims]
        for task in tasks:
            await until(keepers.executions, "the step did not begin", task)
        others = [keepers.start(concurrency=20) for _ in range(2)]
        await until(lambda: keepers.events("registered") >= len(keepers.started), "no other worker came to work")
        killed: dict[int, float] = {}
        for keeper in victims:
            await asyncio.sleep(random.uniform(0, 4.0))  # anywhere between two renewals
            pid = worker_of(keeper)
            assert pid is not None
            killed[pid] = time.monotonic()
            for victim in (keeper.pid, pid):
                os.kill(victim, signal.SIGKILL)
            keeper.wait()
        for task in tasks:
            await until(keepers.again, "the step did not begin again", task)
            (first, _), (second, at) = keepers.executions(task)[:2]
            assert first in killed
            assert second not in killed
            taken.append(at - killed[first])
        for keeper in others:
            keeper.terminate()
            keeper.wait()
    return taken


async def killed(keepers: Keepers, client: LocalClient, trials: int) -> list[float]:
    """A worker dies alone; the others are busy, so that only its replacement can go on."""
    team = [keepers.start() for _ in range(3)]
    tasks = [await working(keepers, client) for _ in team]
    await asyncio.sleep(10.0)  # until each has a spare
    taken: list[float] = []
    while len(taken) < trials:
        await asyncio.sleep(6.0)  # one death at a time, of a worker that has worked for a while
        keeper = team[len(taken) % len(team)]
        pid = worker_of(keeper)
        assert pid is not None
        [task] = [task for task in tasks if keepers.executions(task)[-1][0] == pid]
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await until(keepers.again, "the step did not begin again", task)
        second, at = keepers.executions(task)[1]
        assert second == worker_of(keeper), "another worker than the replacement ran it"
        taken.append(at - began)
        tasks[tasks.index(task)] = await working(keepers, client)
    return taken


async def drained(keepers: Keepers, client: LocalClient, trials: int) -> list[float]:
    """SIGTERM; each task goes on with its next step elsewhere. Counted beyond the end of the step under way."""
    taken: list[float] = []
    team = [keepers.start(concurrency=200)]
    while len(taken) < trials:
        # Long enough for another worker to start meanwhile, on a busy machine too.
        workflow = Submission(type="workflow:thirty", input={"seconds": 0.7})
        tasks = [(await client.submit(workflow)).id for _ in range(min(40, trials - len(taken)))]
        for task in tasks:
            await until(keepers.executions, "the second step did not begin", task, 2)
        team.append(keepers.start(concurrency=200))
        await until(lambda: keepers.events("registered") >= len(keepers.started), "no other worker came to work")
        old = team.pop(0)
        pid = worker_of(old)
        old.terminate()
        old.wait()
        for task in tasks:
            await until(keepers.again, "the task did not end", task, 30)
            moments = [moment for step in range(1, 31) for moment in keepers.executions(task, step)]
            here = [at for at_pid, at in moments if at_pid == pid]
            there = [at for at_pid, at in moments if at_pid != pid]
            assert here
            assert there, "it was not handed over"
            taken.append(min(there) - max(here))
    return taken


async def held(keepers: Keepers, client: LocalClient, trials: int, manner: str) -> dict[str, Any]:
    """Bodies that hold the loop or the interpreter for four leases; what is lost by it."""
    lease, at_once = 3.0, 8
    for _ in range(min(at_once, trials)):
        keepers.start(lease=lease, renew=lease / 4)
    tasks = [await submit(client, lease * 4, manner) for _ in range(trials)]
    held_for = []
    for task in tasks:
        ends = time.monotonic() + PATIENCE + trials * lease * 4 / at_once
        while not (await client.task(task)).status.is_terminal:
            assert time.monotonic() < ends
            await asyncio.sleep(0.2)
        (_, began), (_, ended) = keepers.executions(task)[:2]
        held_for.append(ended - began)
    assert min(held_for) >= lease * 4, "nothing was held"
    claims = [claims_in(await client.journal(task)) for task in tasks]
    return {
        "trials": trials,
        "claimed_again": sum(count - 1 for count in claims),
        "executed_again": sum(len(keepers.executions(task)) // 2 - 1 for task in tasks),
        "lost_or_died": keepers.events("lease_lost", "workers_swept", "worker_died", "lease_not_confirmed_in_time"),
        "lease": lease,
        "held_for": round(min(held_for), 1),
    }


def claims_in(journal: Sequence[JournalView]) -> int:
    """How often the task was claimed."""
    return sum(event.kind == "task_claimed" for event in journal)


TIMED: dict[str, tuple[Callable[[Keepers, LocalClient, int], Awaitable[list[float]]], float, int]] = {
    "lost": (lost, 16.0, 36),
    "killed": (killed, 2.0, 30),
    "drained": (drained, 1.0, 160),
}
HELD = {"blocked": "block", "hogged": "hog"}


def spread(seconds: Iterable[float]) -> dict[str, Any]:
    """Percentiles by the nearest rank."""
    found = sorted(seconds)
    at = {p: found[max(0, -(-len(found) * p // 100) - 1)] for p in (50, 99)}
    return {"trials": len(found), "p50": round(at[50], 2), "p99": round(at[99], 2), "max": round(found[-1], 2)}


@contextmanager
def database(named: str | None, folder: Path) -> Iterator[str]:
    """The named database, a file, or one on a server that lives as long."""
    if named == "sqlite":
        yield f"sqlite:///{folder}/recovery.db"
    elif named is not None:
        yield named
    else:
        with PostgresServer(durable=True) as server:
            yield server.url().replace("+psycopg", "")


@asynccontextmanager
async def measured(url: str, folder: Path) -> AsyncIterator[tuple[Keepers, LocalClient]]:
    """An empty project on that database."""
    keepers = Keepers(folder, url)
    os.environ["AGENTPLAT_DATABASE_URL"], os.environ["AGENTPLAT_IDENTITY__KEY"] = url, KEY
    async with open_platform(load_settings(folder)) as platform:
        try:
            yield keepers, platform.client()
        finally:
            keepers.end()


async def measure(what: str, given: argparse.Namespace) -> dict[str, Any]:
    """One measurement, and whether it holds what was promised."""
    folder = Path(tempfile.mkdtemp(prefix="recovery-"))
    try:
        with database(given.database_url, folder) as url:
            upgrade(url)
            async with measured(url, folder) as (keepers, client):
                if what in HELD:
                    found = await held(keepers, client, given.trials or 200, HELD[what])
                    broken = found["claimed_again"] + found["executed_again"] + found["lost_or_died"]
                    return {"what": what, **found, "holds": broken == 0}
                run, target, usual = TIMED[what]
                found = spread(await run(keepers, client, given.trials or usual))
                return {"what": what, **found, "target_p99": target, "holds": found["p99"] <= target}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """As the first lines of this file say. Ends with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="*", metavar="what", help="; ".join([*TIMED, *HELD]) + "; all by default")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--database-url", help="postgresql://... or sqlite")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    wanted = given.what or [*TIMED, *HELD]
    if unknown := [what for what in wanted if what not in (*TIMED, *HELD)]:
        parser.error(f"unknown: {', '.join(unknown)}")
    found = []
    for _ in range(given.repeat):
        for what in wanted:
            result = {**asyncio.run(measure(what, given)), "load": round(os.getloadavg()[0], 1)}
            found.append(result)
            print("  ".join(f"{name} {value}" for name, value in result.items()), flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0 if all(result["holds"] for result in found) else 1)


if __name__ == "__main__":
    main()
