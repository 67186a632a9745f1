"""The contract of tools."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from agentplat.contracts.tool import Effect, Tool
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import ToolCall
from agentplat.engine.steps.capabilities import ToolEntry
from agentplat_testkit.contracts.capabilities import CapabilityContract
from agentplat_testkit.harness import StepHarness


class ToolContract(CapabilityContract):
    """Override the fixture `settings` for a tool that needs some, for example the address of a fake service."""

    offers: ClassVar[str] = "tools"
    project: ClassVar[str | None] = None

    @pytest.fixture
    def settings(self) -> Mapping[str, JsonValue]:
        """What `[tools.<name>]` of the project would say."""
        return {}

    @pytest.fixture
    def harness(self, settings: Mapping[str, JsonValue]) -> StepHarness:
        entry = ToolEntry(tool=self.capability(), spec=self.spec(), settings=settings)
        return StepHarness(tools=[entry], project=self.project)

    def capability(self) -> Tool[Any, Any]:
        return self.registries().tool(self.name)

    def body(self) -> ToolCall:
        return ToolCall(self.name)

    def test_it_says_what_it_does_to_the_world(self) -> None:
        effect = type(self.capability()).__dict__.get("effect")
        assert isinstance(effect, Effect), f"{self.name!r} does not declare its effect"
        assert effect is self.spec().effect

    def test_a_pure_tool_touches_nothing(self) -> None:
        if self.spec().effect is not Effect.PURE:
            return
        command = [
            sys.executable,
            "-m",
            "agentplat_testkit.contracts.purity",
            self.plugin,
            self.name,
            json.dumps(self.example),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"the tool could not be watched:\n{done.stderr}"
        touched = json.loads(done.stdout)
        assert not touched, f"{self.name!r} says that it is pure, and does {', '.join(touched)}"
