from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from agentplat_testkit.harness import StepHarness

from agentplat import AgentSpec
from agentplat.contracts.model import ModelProvider
from agentplat.engine.steps.capabilities import AgentEntry, ToolEntry
from agentplat.plugins.project.python_files import specs_in
from agentplat.plugins.targets import load_target
from agentplat.runtime.isolation.isolated import Isolation
from agentplat.runtime.settings import IsolationSettings

Lab: TypeAlias = Callable[..., StepHarness]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Makes a harness with all specimens, isolated as these settings say."""
    file = tmp_path / "specimens.py"
    shutil.copy(Path(__file__).parent / "specimens.py", file)

    def made(model: ModelProvider | None = None, timeout: float = 60.0, **settings: Any) -> StepHarness:
        isolation = Isolation(IsolationSettings(**settings))
        agents, tools = [], []
        for spec, _ in specs_in(file):
            capability = load_target(spec.factory)()
            if isinstance(spec, AgentSpec):
                agents.append(AgentEntry(agent=isolation.agent(capability, spec), spec=spec, config={"tone": "dry"}))
            else:
                tool = isolation.tool(capability, spec)
                tools.append(ToolEntry(tool=tool, spec=spec, settings={"folder": "notes"}))
        return StepHarness(agents=agents, tools=tools, model=model, timeout=timeout, project=str(tmp_path))

    return made


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has waited for has ended too."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state in ("Z", "X")
