"""agentplat as its users have it: the installed program, in a process and a folder of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 120.0
_OWN = ("AGENTPLAT_", "OPENAI_", "OPENROUTER_", "OLLAMA_", "VLLM_", "PYTHON")
_ADDRESS = re.compile(r"agentplat is at (http://\S+?)\.? ")


@dataclass(frozen=True)
class Program:
    """The `agentplat` of one environment, at home in one folder."""

    python: Path
    folder: Path

    @property
    def command(self) -> str:
        return str(self.python.with_name("agentplat"))

    def call(self, *arguments: str | Path, folder: Path | None = None, **variables: str) -> Ended:
        """Runs the command to its end, in the program's folder or another one."""
        done = subprocess.run(
            [self.command, *map(str, arguments)],
            cwd=folder or self.folder,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def environment(self, **variables: str) -> dict[str, str]:
        """The variables of this process, without any that would tell agentplat something."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        return {**kept, "XDG_CACHE_HOME": str(self.folder / ".cache"), **variables}

    @contextmanager
    def serving(self, *command: str, folder: Path | None = None, **variables: str) -> Iterator[Server]:
        """`agentplat api` or `agentplat dev` on a free port, until the block ends."""
        where = folder or self.folder
        log = where / f"{command[0]}-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.command, *command, "--port", "0"],
                cwd=where,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            with httpx.Client(base_url=_address(process, log), trust_env=False, timeout=PATIENCE) as http:
                yield Server(http, log)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """What it printed, one JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    http: httpx.Client
    log: Path

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self, type: str, input: dict[str, Any], path: str = "/tasks") -> dict[str, Any]:
        """Submits a task, and gives it back when it has ended."""
        answer = self.http.post(path, json={"type": type, "input": input})
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json()
        ends = time.monotonic() + PATIENCE
        while task["status"] not in ("done", "error", "cancelled"):
            assert time.monotonic() < ends, f"{task}\n{self.log.read_text()}"
            time.sleep(0.1)
            task = self.get(f"/tasks/{task['id']}")
        return task

    def journal(self, task_id: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.get(f"/v1/tasks/{task_id}/journal")
        return events


def own_program(folder: Path) -> Program:
    """The program of the environment that runs the tests."""
    return Program(Path(sys.executable), folder)


def told(journal: Sequence[dict[str, Any]]) -> list[str]:
    """Each event in short: its kind and its path."""
    return [f"{event['kind']} {event['content'].get('path', '')}".rstrip() for event in journal]


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    ends = time.monotonic() + PATIENCE
    while (found := _ADDRESS.search(log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.1)
    return found[1]
