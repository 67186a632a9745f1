"""Real worker processes over a project of ten steps, and the means to kill, stop and continue them."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from agentplat.store.address import Address

STEPS = [f"s{n}" for n in range(1, 11)]

_AGENT = '''
import asyncio
import os

from agentplat import Agent, AgentContext
from pydantic import BaseModel


class Input(BaseModel):
    step: str
    pause: float


class Output(BaseModel):
    step: str


class Stepper(Agent[Input, Output]):
    """Leaves a mark, and takes its time."""

    name = "stepper"

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        with open(os.environ["MARKS"], "a") as marks:
            marks.write(f"{ctx.task_id} {input.step}\\n")
        await asyncio.sleep(input.pause)
        return Output(step=input.step)
'''

_STUBBORN = '''
import asyncio
import os

from agentplat import Agent, AgentContext
from pydantic import BaseModel


class Input(BaseModel):
    number: int


class Stubborn(Agent[Input, dict]):
    """Works for ever; number 0 does not even end when it is told to."""

    name = "stubborn"

    async def execute(self, input: Input, ctx: AgentContext) -> dict:
        with open(os.environ["MARKS"], "a") as marks:
            marks.write(f"{ctx.task_id} begun\\n")
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                if input.number:
                    raise
'''

MEMBERS = ("each[0]", "each[1]", "each[2]", "inner")
_FAMILY = """
name: family
strategy: sequential
steps:
  - name: each
    foreach: [a, b, c]
    max_parallel: 2
    agent: stepper
    concurrency: {key: family, limit: 6}
    input: {step: "${{ item }}", pause: "${{ input.pause }}"}
  - {name: inner, workflow: ten, input: {pause: "${{ input.pause }}"}}
"""


def write_project(folder: Path) -> None:
    """A project with two agents, the workflow `ten`, and `family`, of which each step is a task of its own."""
    (folder / "agents").mkdir()
    (folder / "agents" / "stepper.py").write_text(_AGENT)
    (folder / "agents" / "stubborn.py").write_text(_STUBBORN)
    (folder / "workflows").mkdir()
    steps = "".join(
        f'  - {{name: {step}, agent: stepper, input: {{step: {step}, pause: "${{{{ input.pause }}}}"}}}}\n'
        for step in STEPS
    )
    (folder / "workflows" / "ten.yaml").write_text(f"name: ten\nstrategy: sequential\nsteps:\n{steps}")
    (folder / "workflows" / "family.yaml").write_text(_FAMILY)


def wait_for(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `holds` gives, as soon as it is true."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > ends:
            raise AssertionError(f"waited {seconds:g} s in vain for {holds}")
        time.sleep(0.005)
    return found


@dataclass
class Workers:
    """The worker processes of one test."""

    folder: Path
    database_url: str
    lease_seconds: float = 2.0
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def marks(self) -> Path:
        return self.folder / "marks"

    def start(self, metrics_port: int | None = None) -> Keeper:
        """A keeper with its worker."""
        log = self.folder / f"worker-{len(self.started)}.log"
        port = metrics_port or free_port()
        environment = {
            **os.environ,
            "AGENTPLAT_DATABASE_URL": self.database_url,
            "AGENTPLAT_IDENTITY__KEY": "0123456789abcdef",
            "AGENTPLAT_LOG__FORMAT": "json",
            "AGENTPLAT_WORKER__LEASE_SECONDS": str(self.lease_seconds),
            "AGENTPLAT_WORKER__RENEW_SECONDS": str(self.lease_seconds / 4),
            "AGENTPLAT_WORKER__POLL_SECONDS": "0.05",
            "AGENTPLAT_WORKER__METRICS_PORT": str(port),
            "MARKS": str(self.marks),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "agentplat.runtime.cli", "worker"],
                cwd=self.folder,
                env=environment,
                stderr=output,
                stdout=output,
                start_new_session=True,
            )
        self.started.append(process)
        return Keeper(process, log, port)

    def executions(self, task_id: object) -> Counter[str]:
        """How often each step of the task was begun, as the steps themselves say."""
        lines = self.marks.read_text().splitlines() if self.marks.exists() else []
        return Counter(step for task, step in (line.split() for line in lines) if task == str(task_id))

    def end(self) -> None:
        for process in self.started:
            for pid in [*children(process.pid), process.pid]:
                for signum in (signal.SIGCONT, signal.SIGKILL):
                    send(pid, signum)
            process.wait()


@dataclass
class Keeper:
    process: subprocess.Popen[bytes]
    log: Path
    metrics_port: int

    def metric(self, name: str) -> float:
        """The value of a metric of the worker that runs now."""
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics").read().decode()
        return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))

    @property
    def worker(self) -> int:
        """The process id of the worker proper."""
        return int(wait_for(lambda: children(self.process.pid))[0])

    def kill_worker(self) -> None:
        pid = self.worker
        os.kill(pid, signal.SIGKILL)
        # The fault struck: the process is gone, or its keeper has already replaced it.
        wait_for(lambda: pid not in children(self.process.pid))

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's lines of that event."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and event.get("event") == name:
                found.append(event)
        return found


def stop(pid: int, database_url: str) -> None:
    """Stop a process between two transactions.

    One that is stopped inside a write transaction of SQLite stops every other writer too, and proves nothing.
    """
    file = database_url.removeprefix("sqlite:///")
    while True:
        send(pid, signal.SIGSTOP)
        if file == database_url or is_writable(file):
            return
        send(pid, signal.SIGCONT)
        time.sleep(0.01)


def is_writable(file: str) -> bool:
    with closing(sqlite3.connect(file, timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
    return True


@contextmanager
def counting(database_url: str) -> Iterator[Callable[[UUID], int]]:
    """Says how many tasks a worker owns. For one thread at a time."""
    file = database_url.removeprefix("sqlite:///")
    if file == database_url:
        with psycopg.connect(Address.parse(database_url).libpq, autocommit=True, prepare_threshold=None) as session:
            asked = "SELECT count(*) FROM agentplat.queue WHERE worker_id = %s"
            yield lambda worker_id: one(session.execute(asked, [worker_id]).fetchone())
        return
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None, check_same_thread=False)) as connection:
        asked = "SELECT count(*) FROM queue WHERE worker_id = ?"
        yield lambda worker_id: one(connection.execute(asked, [worker_id.hex]).fetchone())


def one(row: tuple[Any, ...] | None) -> int:
    assert row is not None
    return int(row[0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def children(pid: int) -> list[int]:
    """The direct children of a process; none when it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def send(pid: int, signum: int) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return
