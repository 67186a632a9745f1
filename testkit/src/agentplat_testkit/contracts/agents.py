"""The contract of agents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from agentplat.contracts.agent import Agent
from agentplat.contracts.model import ModelProvider
from agentplat.contracts.tool import Tool
from agentplat.domain.workflow import AgentCall
from agentplat.engine.steps.capabilities import AgentEntry
from agentplat_testkit.contracts.capabilities import CapabilityContract, HangingModel
from agentplat_testkit.fakes import Script, ScriptedModel, plausible
from agentplat_testkit.harness import StepHarness


class AgentContract(CapabilityContract):
    """Override the fixture `tools` for an agent that has some, and `script` where any answer is not enough."""

    offers: ClassVar[str] = "agents"

    @pytest.fixture
    def tools(self) -> Sequence[Tool[Any, Any]]:
        """Stand-ins for the tools that the agent calls."""
        return ()

    @pytest.fixture
    def script(self) -> Script:
        """What the model says: a list of replies, or a function of the request."""
        return plausible

    @pytest.fixture
    def harness(self, tools: Sequence[Tool[Any, Any]], script: Script) -> StepHarness:
        return self.harness_with(ScriptedModel(script), tools)

    def harness_with(self, model: ModelProvider, tools: Sequence[Tool[Any, Any]]) -> StepHarness:
        spec = self.spec()
        entry = AgentEntry(agent=self.capability(), spec=spec, config={**spec.config, **self.config})
        return StepHarness(agents=[entry], tools=tools, model=model)

    def capability(self) -> Agent[Any, Any]:
        return self.registries().agent(self.name)

    def body(self) -> AgentCall:
        return AgentCall(self.name)

    async def test_the_same_input_and_the_same_replies_give_the_same_output(
        self, tools: Sequence[Tool[Any, Any]], script: Script
    ) -> None:
        first, second = [
            await self.outcome(self.harness_with(ScriptedModel(script), tools), self.example) for _ in range(2)
        ]
        assert first == second, f"{self.name!r} keeps state, or draws lots: {first} is not {second}"

    async def test_a_second_attempt_is_answered_from_the_ledger(self, harness: StepHarness) -> None:
        first = await self.outcome(harness, self.example)
        model = harness.model_provider
        assert isinstance(model, ScriptedModel)
        asked = len(model.requests)
        second = await self.outcome(harness, self.example)
        assert second == first
        assert len(model.requests) == asked, f"{self.name!r} asks something else when it is run again"

    async def test_a_cancel_ends_it_while_a_model_thinks(self, tools: Sequence[Tool[Any, Any]]) -> None:
        model = HangingModel()
        before = asyncio.all_tasks()
        running = asyncio.ensure_future(self.harness_with(model, tools).outcome(self.body(), self.example))
        asked = asyncio.ensure_future(model.asked.wait())
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if running.done():
            return  # it asks no model
        running.cancel()
        await asyncio.wait({running, asked})
        assert running.cancelled(), f"{self.name!r} swallows a cancel"
        left = asyncio.all_tasks() - before
        assert not left, f"{self.name!r} leaves tasks running after a cancel: {left}"
