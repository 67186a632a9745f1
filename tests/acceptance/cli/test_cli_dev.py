"""`agentplat dev`: everything by one command, in an empty folder, and gone when it ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .processes import Folder, Running, wait_for

GREETER = '''
from agentplat import Agent, AgentContext


class Greeter(Agent[dict[str, object], dict[str, object]]):
    """Greets."""

    name = "greeter"

    async def execute(self, input: dict[str, object], ctx: AgentContext) -> dict[str, object]:
        return {{"text": "{word}"}}
'''
WORKFLOW = "name: meeting\nsteps:\n  - {name: greet, agent: greeter}\n"


@pytest.fixture
def dev(folder: Folder) -> Iterator[Running]:
    with folder.running("dev", "--port", "0") as running:
        running.address()
        yield running


def submitted(running: Running, type: str, given: dict[str, object]) -> httpx.Response:
    body = {"type": type, "input": given}
    return httpx.post(f"{running.address()}/tasks", json=body, trust_env=False, timeout=60)


def finished(running: Running, answer: httpx.Response) -> dict[str, Any]:
    """The task, as soon as it has ended."""
    assert answer.status_code == 201, answer.text
    address = f"{running.address()}/tasks/{answer.json()['id']}"

    def ended() -> dict[str, Any] | None:
        task: dict[str, Any] = httpx.get(address, trust_env=False, timeout=60).json()
        return task if task["status"] in ("done", "error", "cancelled") else None

    task: dict[str, Any] = wait_for(ended)
    return task


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_an_empty_folder_is_enough_and_the_end_of_the_command_is_the_end_of_all(
    signum: signal.Signals, code: int, dev: Running, folder: Folder
) -> None:
    task = finished(dev, submitted(dev, "workflow:simple_sequential", {"topic": "How are leases fenced?"}))
    assert task["status"] == "done"
    assert [step["name"] for step in task["subtasks"]] == ["conduct_research", "summarize_findings"]
    assert "dev" in folder.processes()[dev.process.pid]
    assert len(folder.processes()) == 3, "the server, a keeper, a worker"

    assert dev.ended(signum) == code
    folder.wait_until_nothing_runs()
    assert "Traceback" not in dev.said()


def test_a_workflow_and_an_agent_that_are_written_while_it_runs_are_used(dev: Running, folder: Folder) -> None:
    assert submitted(dev, "workflow:meeting", {}).status_code == 400
    for name in ("agents", "workflows"):
        (folder.path / name).mkdir()
    (folder.path / "agents" / "greeter.py").write_text(GREETER.format(word="Hello"))
    (folder.path / "workflows" / "meeting.yaml").write_text(WORKFLOW)
    answer = wait_for(lambda: _accepted(dev))
    assert finished(dev, answer)["output"] == {"text": "Hello"}

    (folder.path / "agents" / "greeter.py").write_text(GREETER.format(word="Good morning"))
    wait_for(lambda: finished(dev, submitted(dev, "workflow:meeting", {}))["output"] == {"text": "Good morning"})


def test_a_file_that_breaks_is_told_and_its_last_good_version_stays(dev: Running, folder: Folder) -> None:
    (folder.path / "agents").mkdir()
    (folder.path / "workflows").mkdir()
    (folder.path / "agents" / "greeter.py").write_text(GREETER.format(word="Hello"))
    (folder.path / "workflows" / "meeting.yaml").write_text(WORKFLOW)
    # Server and worker each keep the last good version that they saw.
    assert finished(dev, wait_for(lambda: _accepted(dev)))["status"] == "done"

    (folder.path / "agents" / "greeter.py").write_text("def broken(:\n")
    wait_for(lambda: "agents/greeter.py:1:1: not_usable: " in dev.said())
    assert finished(dev, submitted(dev, "workflow:meeting", {}))["output"] == {"text": "Hello"}


def test_the_worker_that_dies_is_replaced_and_the_server_goes_on(dev: Running, folder: Folder) -> None:
    worker = folder.worker()
    wait_for(lambda: '"registered"' in dev.said())
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: folder.worker() != worker)
    task = finished(dev, submitted(dev, "tool:calculator", {"expression": "6*7"}))
    assert task["output"] == {"result": 42}


def test_the_server_ends_when_its_worker_cannot_start(folder: Folder) -> None:
    refuses = "import os, sys\nif 'agentplat.runtime.worker_main' in sys.orig_argv:\n    os._exit(2)\n"
    (folder.path / "agents").mkdir()
    (folder.path / "agents" / "refuses.py").write_text(refuses)
    with folder.running("dev", "--port", "0") as running:
        assert running.ended() == 1
        assert "The worker ended by itself (exit code 2)" in running.said()


@pytest.mark.parametrize("command", ["api", "dev"])
def test_a_port_that_is_taken_is_a_wrong_use(command: str, folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = folder.call(command, "--port", port)
    assert ended.code == 2
    assert f"Port {port} of 127.0.0.1 cannot be bound: Address already in use. Choose another: --port." in ended.err


def test_an_address_that_other_machines_reach_is_refused(folder: Folder) -> None:
    ended = folder.call("dev", "--host", "0.0.0.0")
    assert ended.code == 2
    assert "can be reached from other machines" in ended.err
    assert list(folder.path.iterdir()) == []


def _accepted(running: Running) -> httpx.Response | None:
    answer = submitted(running, "workflow:meeting", {})
    return answer if answer.status_code == 201 else None
