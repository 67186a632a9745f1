"""agentplat as it is installed: real processes, reached by real HTTP."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import requests

T = TypeVar("T")
IDENTITY_KEY = "a-key-of-more-than-16-characters"
PROJECT = Path(__file__).parent / "project"
_PATIENCE = 60.0
_ADDRESS = re.compile(r"agentplat is at (http://\S+?)\.?\s")


def wait_for(holds: Callable[[], T], seconds: float = _PATIENCE) -> T:
    """What `holds` gives, as soon as it is true."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > ends:
            raise AssertionError(f"waited {seconds:g} s in vain for {holds}")
        time.sleep(0.02)
    return found


class Process:
    """One command of agentplat; what it writes goes to `log`."""

    def __init__(self, command: list[str], log: Path, database_url: str, variables: Mapping[str, str]) -> None:
        self.log = log
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AGENTPLAT_", "OPENROUTER_"))
        } | {
            "AGENTPLAT_PROJECT": str(PROJECT),
            "AGENTPLAT_DATABASE_URL": database_url,
            "AGENTPLAT_IDENTITY__KEY": IDENTITY_KEY,
            "AGENTPLAT_LOG__FORMAT": "json",
            "AGENTPLAT_LOG__LEVEL": "debug",
            "AGENTPLAT_WORKER__POLL_SECONDS": "0.05",
            "AGENTPLAT_WORKER__DRAIN_SECONDS": "1",
            **variables,
        }
        with log.open("ab") as output:
            self._begins = output.seek(0, os.SEEK_END)  # another one may have written to it before
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agentplat.runtime.cli", *command],
                cwd=log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def written(self) -> str:
        return self.log.read_bytes()[self._begins :].decode(errors="replace")

    def says(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait until it has written that."""

        def found() -> re.Match[str] | None:
            self.must_run()
            return pattern.search(self.written())

        match = wait_for(found)
        assert match is not None
        return match

    def must_run(self) -> None:
        assert self._process.poll() is None, f"it ended with {self._process.returncode}:\n{self.written()}"

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Its exit code, after SIGTERM."""
        self.ask_to_stop()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()


class Server:
    """An API process, and a `requests` session that knows where it is."""

    worker: Process | None = None

    def __init__(self, folder: Path, database_url: str, **variables: str) -> None:
        self.database_url = database_url
        self.api = Process(["api", "--port", "0"], folder / "api.log", database_url, variables)
        self.session = requests.Session()
        try:
            self.url = self.api.says(_ADDRESS)[1]
            wait_for(self._answers)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        self.api.must_run()
        with contextlib.suppress(requests.ConnectionError):
            return self.session.get(f"{self.url}/health", timeout=_PATIENCE).status_code in (200, 503)
        return False

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=_PATIENCE, **options)

    def get(self, path: str, **parameters: Any) -> requests.Response:
        return self.request("GET", path, params=parameters)

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        return self.request("POST", path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def patch(self, task_id: str, **body: Any) -> requests.Response:
        return self.request("PATCH", f"/tasks/{task_id}", json=body)

    def send(self, body: bytes, path: str = "/tasks", method: str = "POST", **options: Any) -> requests.Response:
        """Send these bytes as JSON."""
        return self.request(method, path, data=body, headers={"Content-Type": "application/json"}, **options)

    def submit(self, type: str, input: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        answer = self.post("/tasks", {"type": type, "input": input or {}, **more})
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def task(self, task_id: str) -> dict[str, Any]:
        answer = self.get(f"/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def until(self, task_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if holds(task) else None

        task = wait_for(found)
        assert task is not None
        return task

    def ended(self, task_id: str) -> dict[str, Any]:
        return self.until(task_id, lambda task: task["status"] in ("done", "error", "cancelled"))

    def stop(self) -> None:
        self.session.close()
        self.api.stop()


@contextlib.contextmanager
def served(folder: Path, database_url: str, *, worked: bool = False, **variables: str) -> Iterator[Server]:
    """An API; with `worked` also a worker, without one every task stays pending."""
    folder.mkdir(parents=True, exist_ok=True)
    worker = Process(["worker"], folder / "worker.log", database_url, variables) if worked else None
    try:
        server = Server(folder, database_url, **variables)
        server.worker = worker
        try:
            yield server
        finally:
            if worker is not None:
                worker.ask_to_stop()
            server.stop()
    finally:
        if worker is not None:
            worker.stop()
