"""What holds for agents and tools alike: schemas, checked input, kept output, no traces left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from agentplat.contracts.agent import Agent
from agentplat.contracts.model import ModelReply, ModelRequest
from agentplat.contracts.tool import Tool
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.workflow import AgentCall, ToolCall
from agentplat.engine.steps.context import Outcome
from agentplat.engine.steps.invocation import input_schema, output_schema
from agentplat_testkit.contracts.plugins import PluginContract
from agentplat_testkit.fakes import RememberedLog
from agentplat_testkit.harness import StepHarness


class HangingModel:
    """A model that never answers; `asked` is set when it is asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError(f"nobody answers {request.model}")

    async def aclose(self) -> None:
        """Nothing to close."""


class CapabilityContract(PluginContract):
    """`example` is an input that works; `bad_input` is one that does not."""

    example: ClassVar[JsonObject]
    bad_input: ClassVar[JsonValue] = {}
    config: ClassVar[Mapping[str, JsonValue]] = {}

    def capability(self) -> Agent[Any, Any] | Tool[Any, Any]:
        raise NotImplementedError

    def body(self) -> AgentCall | ToolCall:
        raise NotImplementedError

    async def outcome(self, harness: StepHarness, given: JsonValue) -> Outcome:
        """The outcome of a first attempt; nothing that it started may be left running."""
        before = asyncio.all_tasks()
        outcome = await harness.outcome(self.body(), given)
        left = asyncio.all_tasks() - before
        assert not left, f"{self.name!r} leaves tasks running: {left}"
        return outcome

    def test_the_class_is_what_the_spec_says(self) -> None:
        assert self.capability().name == self.name

    def test_every_field_of_the_input_is_described(self) -> None:
        schema = input_schema(self.capability())
        assert schema.get("type") == "object", f"the input of {self.name!r} is no object: {schema}"
        bare = [field for field, content in schema.get("properties", {}).items() if not _described(content)]
        assert not bare, f"without a description, nobody knows what to put into: {', '.join(bare)}"

    def test_the_output_has_a_schema(self) -> None:
        assert isinstance(output_schema(self.capability()), dict)

    async def test_the_example_runs(self, harness: StepHarness) -> None:
        outcome = await self.outcome(harness, self.example)
        assert outcome.failure is None, _told(outcome.failure)
        assert outcome.output is not None, f"{self.name!r} gives nothing"

    async def test_keys_of_the_platform_do_not_disturb_it(self, harness: StepHarness) -> None:
        outcome = await self.outcome(harness, {**self.example, "_trace_context": {"trace_id": "0" * 32}})
        assert outcome.failure is None, _told(outcome.failure)

    async def test_an_input_that_does_not_fit_is_refused_with_the_place(self, harness: StepHarness) -> None:
        failure = (await self.outcome(harness, self.bad_input)).failure
        assert failure is not None, f"{self.bad_input!r} was taken; set `bad_input` to what {self.name!r} refuses"
        assert failure.code is FailureCode.INVALID_INPUT, _told(failure)
        places = list(_places(failure))
        assert places, f"no JSON pointer says what was wrong: {_told(failure)}"

    @pytest.fixture
    def log(self, harness: StepHarness) -> RememberedLog:
        return harness.log


def _described(content: Mapping[str, Any]) -> bool:
    return bool(content.get("description"))


def _places(failure: Failure) -> Iterator[str]:
    errors: Any = failure.details.get("errors", ())
    yield from (error["pointer"] for error in errors if error["pointer"])
    if "pointer" in failure.details:
        yield str(failure.details["pointer"])


def _told(failure: Failure | None) -> str:
    return "" if failure is None else f"{failure.code}: {failure.message}"
