"""A coordination strategy of somebody's own: a small package, and a workflow of a project that names it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .environments import Environment, everything
from .programs import told

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(1800)]

PACKAGE = Path(__file__).parent / "packages" / "strategy-two-sides"
MOST_LINES = 40

AGENTS = '''
from typing import Any

from agentplat import Agent, AgentContext


class Speaker(Agent[dict[str, Any], dict[str, Any]]):
    """Makes the next point."""

    name = "speaker"

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> dict[str, Any]:
        return {"point": len(input["transcript"]) + 1}


class Judge(Agent[dict[str, Any], dict[str, Any]]):
    """Gives it to whoever spoke last."""

    name = "judge"

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> dict[str, Any]:
        return {"heard": input["transcript"], "winner": "con"}
'''
WORKFLOW = """
name: dispute
description: Two sides argue, and one judges
coordination_type: two_sides
max_iterations: 2
steps:
  - {name: pro, agent: speaker}
  - {name: con, agent: speaker}
  - {name: judge, agent: judge}
"""
HISTORY = [
    "task_submitted",
    "task_claimed",
    "block_started",
    *(
        line
        for path in ("pro", "con", "pro#2", "con#2", "judge")
        for line in (f"step_started {path}", f"step_succeeded {path}")
    ),
    "block_finished",
    "task_finished",
]
POINTS = [{"point": number} for number in (1, 2, 3, 4)]


def test_the_whole_package_has_fewer_than_40_lines_of_python() -> None:
    files = {path.relative_to(PACKAGE): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert {file.name for file in files} == {"__init__.py", "plugin.py", "strategy.py", "test_contract.py"}
    assert sum(len(text.splitlines()) for text in files.values()) < MOST_LINES


@pytest.fixture(scope="module")
def environment(new_environment: Callable[[], Environment]) -> Environment:
    """An environment with all wheels of this repository and the package, and a project in its folder."""
    environment = new_environment()
    own = environment.folder / "strategy-two-sides"
    shutil.copytree(PACKAGE, own)
    environment.install(*everything(environment.wheels), own)
    for file, text in {"agents/debate.py": AGENTS, "workflows/dispute.yaml": WORKFLOW}.items():
        (environment.folder / file).parent.mkdir()
        (environment.folder / file).write_text(text, encoding="utf-8")
    return environment


def test_the_package_keeps_to_the_contract_of_strategies(environment: Environment) -> None:
    ran = subprocess.run(
        [environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=environment.folder / "strategy-two-sides",
        env=environment.agentplat.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout


def test_a_workflow_of_a_project_is_coordinated_by_it(environment: Environment) -> None:
    agentplat = environment.agentplat
    listed = {plugin["name"]: plugin for plugin in agentplat.call("plugins", "--json").lines}
    assert listed["strategy-two-sides"]["offers"] == {"strategies": ["two_sides"]}
    assert agentplat.call("workflows", "validate", "workflows/dispute.yaml").code == 0

    ran = agentplat.call("run", "workflow:dispute", "--input", '{"question": "Tabs?"}', "--json")
    assert ran.code == 0, ran.err
    task = ran.lines[-1]
    assert (task["status"], task["output"]) == ("done", {"heard": POINTS, "winner": "con"})

    journal = agentplat.call("tasks", "show", task["id"], "--journal", "--json").lines
    assert told(journal) == HISTORY
    heard = {
        event["content"]["path"]: event["content"]["input"] for event in journal if event["kind"] == "step_started"
    }
    assert heard == {
        path: {"transcript": POINTS[:number]} for number, path in enumerate(["pro", "con", "pro#2", "con#2", "judge"])
    }
