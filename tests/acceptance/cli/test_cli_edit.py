"""A workflow file that is edited, broken and mended while `agentplat dev` runs fifty of its tasks."""

from __future__ import annotations

import json
from typing import Any

import httpx

from .processes import Folder, Running, wait_for

PATIENT = '''
import asyncio
import pathlib

from agentplat import Agent, AgentContext


class Patient(Agent[dict[str, object], dict[str, object]]):
    """Says that it began, and runs until a file is there."""

    name = "patient"

    async def execute(self, input: dict[str, object], ctx: AgentContext) -> dict[str, object]:
        with open("begun", "a") as begun:
            begun.write(f"{ctx.task_id}\\n")
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.05)
        return {}


class Sayer(Agent[dict[str, object], dict[str, object]]):
    """Says what it was given."""

    name = "sayer"

    async def execute(self, input: dict[str, object], ctx: AgentContext) -> dict[str, object]:
        return {"said": input}
'''
EDITED = """name: edited
version: {version}
steps:
  - {{name: hold, agent: patient}}
  - {{name: told, wait: {{signal: go}}}}
  - {{name: say, agent: {agent}, input: {{version: {version}}}}}
"""
SHORT = "name: short\nsteps:\n  - {name: say, agent: sayer}\n"


class Caller:
    """Somebody who speaks to the API of `dev`."""

    def __init__(self, running: Running) -> None:
        self._address = running.address()

    def ask(self, method: str, path: str, **request: Any) -> Any:
        answer = httpx.request(method, f"{self._address}{path}", trust_env=False, timeout=60, **request)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self) -> str:
        return str(self.ask("POST", "/tasks", json={"type": "workflow:edited", "input": {}})["id"])

    def statuses(self, ids: list[str]) -> set[str]:
        return {self.ask("GET", f"/tasks/{id_}")["status"] for id_ in ids}

    def version_that_ran(self, id_: str) -> int:
        """After the signal that the task waits for."""
        self.ask("POST", f"/v1/tasks/{id_}:signal", json={"name": "go", "key": "once"})
        wait_for(lambda: self.statuses([id_]) == {"done"})
        [said] = [s["output"]["said"] for s in self.ask("GET", f"/tasks/{id_}")["subtasks"] if s["name"] == "say"]
        return int(said["version"])


def test_fifty_tasks_end_on_their_version_and_the_last_good_one_stays_when_the_file_breaks(folder: Folder) -> None:
    for name, file, text in (("agents", "patient.py", PATIENT), ("workflows", "edited.yaml", EDITED)):
        (folder.path / name).mkdir()
        (folder.path / name / file).write_text(text.format(version=1, agent="sayer") if text is EDITED else text)
    edited = folder.path / "workflows" / "edited.yaml"
    begun = folder.path / "begun"

    with folder.running("dev", "--port", "0") as dev:
        caller = Caller(dev)
        old = [caller.submit() for _ in range(50)]
        # All fifty run: each is in the body of its first step.
        wait_for(lambda: begun.exists() and set(begun.read_text().split()) == set(old))
        edited.write_text(EDITED.format(version=2, agent="sayer"))
        new = [caller.submit() for _ in range(3)]

        edited.write_text(EDITED.format(version=3, agent="sayre"))
        # What is wrong is told by `dev`, by the API and by the command line, each with its place and the nearest name.
        place = f"{edited}:6:24: unknown_agent: "
        wait_for(lambda: place in dev.said())
        newest = [caller.submit() for _ in range(3)]
        [fault] = caller.ask("GET", "/v1/workflows/edited")["diagnostics"]
        assert (fault["line"], fault["column"], fault["code"]) == (6, 24, "unknown_agent")
        assert "sayer" in fault["detail"]
        checked = folder.call("workflows", "validate", "workflows/edited.yaml", "--json")
        [line] = json.loads(checked.out)["diagnostics"]
        assert (checked.code, line) == (1, {**fault, "file": "workflows/edited.yaml"})
        assert place in folder.call("workflows", "list").out

        assert caller.statuses([*old, *new, *newest]) == {"running"}
        (folder.path / "go").touch()
        assert [caller.version_that_ran(id_) for id_ in old] == [1] * 50
        assert [caller.version_that_ran(id_) for id_ in (*new, *newest)] == [2] * 6

        edited.write_text(EDITED.format(version=4, agent="sayer"))
        assert caller.version_that_ran(caller.submit()) == 4
        assert caller.ask("GET", "/v1/workflows/edited")["diagnostics"] == []
        assert folder.call("workflows", "validate", "workflows/edited.yaml").out == "workflows/edited.yaml: valid\n"
        versions = folder.call("workflows", "history", "edited", "--json").lines
    assert [(version["version"], version["is_current"]) for version in versions] == [
        ("4", True),
        ("2", False),
        ("1", False),
    ]
    # Each body ran once: no edit interrupted anything.
    assert len(begun.read_text().split()) == len(set(begun.read_text().split())) == 57


def test_a_file_that_breaks_before_a_task_ever_used_it_has_a_last_good_version(folder: Folder) -> None:
    for name, file, text in (("agents", "patient.py", PATIENT), ("workflows", "short.yaml", SHORT)):
        (folder.path / name).mkdir()
        (folder.path / name / file).write_text(text)
    with folder.running("dev", "--port", "0") as dev:
        caller = Caller(dev)
        (folder.path / "workflows" / "short.yaml").write_text(SHORT.replace("sayer", "sayre"))
        wait_for(lambda: "unknown_agent" in dev.said())
        id_ = caller.ask("POST", "/tasks", json={"type": "workflow:short", "input": {"a": 1}})["id"]
        wait_for(lambda: caller.statuses([id_]) == {"done"})
