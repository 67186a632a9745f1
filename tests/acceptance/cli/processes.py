"""`agentplat` as people at a terminal have it: the installed program, started in a folder."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 120.0
_TELLING = ("AGENTPLAT_", "OPENAI_", "OPENROUTER_", "OLLAMA_", "VLLM_", "BRAVE_")
_ADDRESS = re.compile(r"agentplat is at (http://\S+) ")


def _heed_interrupts() -> None:
    """As on a terminal: a suite that was started in the background hands on that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
class Running:
    """A command that runs. What it says is in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def address(self) -> str:
        """The URL that `dev` or `api` says."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, self.said()
            return _ADDRESS.search(self.said())

        return str(wait_for(found)[1])

    def ended(self, signum: signal.Signals | None = None) -> int:
        """The exit code, after a signal if one is given."""
        if signum is not None:
            self.process.send_signal(signum)
        return self.process.wait(PATIENCE)


@dataclass(frozen=True)
class Folder:
    """A folder in which commands are called."""

    path: Path

    def call(self, *arguments: str | Path, **variables: str) -> Ended:
        """What the command prints and its exit code, once it has ended."""
        done = subprocess.run(
            _command(arguments),
            cwd=self.path,
            env=_environment(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *arguments: str | Path, **variables: str) -> Iterator[Running]:
        """The command, until it ends or the block does."""
        log = self.path.with_name(f"{self.path.name}-{arguments[0]}-{time.monotonic_ns()}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(arguments),
                cwd=self.path,
                env=_environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_heed_interrupts,  # noqa: PLW1509 - it makes one system call
            )
        try:
            yield Running(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def processes(self) -> dict[int, str]:
        """The processes that work in this folder, by their id: what a command started, and has not ended yet."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if (entry / "cwd").resolve(strict=True) == self.path.resolve():
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    def worker(self) -> int:
        """The process id of the worker proper."""
        return int(wait_for(lambda: [pid for pid, command in self.processes().items() if "worker_main" in command])[0])

    def keeper(self) -> int:
        """The process id of the worker's keeper."""
        return int(wait_for(lambda: [pid for pid, command in self.processes().items() if "cli worker" in command])[0])

    def statuses(self) -> list[str]:
        """The statuses of all tasks, read from the file: a command for each look would take its time."""
        with closing(sqlite3.connect(self.path / ".agentplat" / "agentplat.db")) as database:
            return [status for (status,) in database.execute("SELECT status FROM tasks ORDER BY id")]

    def wait_until_nothing_runs(self) -> None:
        wait_for(lambda: not self.processes())


def wait_for(holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `holds` gives, as soon as it is true."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, f"waited {seconds:g} s in vain for {holds}"
        time.sleep(0.05)
    return found


def _command(arguments: tuple[str | Path, ...]) -> list[str]:
    return [str(Path(sys.executable).with_name("agentplat")), *map(str, arguments)]


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """The variables of this process without any that would tell agentplat something."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(_TELLING)}, **variables}
