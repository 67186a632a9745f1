"""Agents and tools are run with checked input, checked output and typed failures."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, Field, field_serializer, field_validator, model_validator

from agentplat import Agent, AgentContext, FailureCode, StepError, Tool, ToolContext
from agentplat.domain.json import unstorable
from agentplat.engine.steps.invocation import (
    MAX_OUTPUT_BYTES,
    input_faults,
    input_schema,
    invoke,
    output_schema,
    signature_of,
    types_of,
)


class Question(BaseModel):
    text: str = Field(description="What is asked.")
    limit: int = 3


class Answer(BaseModel):
    answer: str


class Echo(Agent[Question, Answer]):
    name = "echo"

    async def execute(self, input: Question, ctx: AgentContext) -> Answer:
        return Answer(answer=input.text * input.limit)


class Heir(Echo):
    name = "heir"


ResultT = TypeVar("ResultT")


class Half(Agent[Question, list[ResultT]], Generic[ResultT]):
    """Leaves one type to its heirs."""


class Whole(Half[int]):
    name = "whole"

    async def execute(self, input: Question, ctx: AgentContext) -> list[int]:
        return [input.limit]


class Doing(Agent[dict[str, Any], Any]):
    """Does what a test wants."""

    name = "doing"

    def __init__(self, body: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
        self.body = body

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> Any:
        return await self.body(input)


class Broken(Tool[Question, Answer]):
    name = "broken"

    async def execute(self, input: Question, ctx: ToolContext) -> Answer:
        raise ZeroDivisionError("no \x00 number \ud800 " + "x" * 5000)


async def failure_of(call: Awaitable[Any]) -> StepError:
    with pytest.raises(StepError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize(
    ("cls", "types"), [(Echo, (Question, Answer)), (Heir, (Question, Answer)), (Whole, (Question, list[int]))]
)
def test_the_types_are_found_on_the_class_and_on_what_it_inherits(cls: type, types: tuple[Any, Any]) -> None:
    assert types_of(cls) == types


def test_a_class_without_types_is_told_how_to_name_them() -> None:
    class Nameless(Agent):  # type: ignore[type-arg] # the mistake under test
        name = "nameless"

    for cls in (Nameless, Half):
        with pytest.raises(TypeError, match=r"Derive it from Agent\[Input, Output\]"):
            types_of(cls)


def test_the_schemas_are_json_schemas_with_descriptions() -> None:
    schema = input_schema(Echo())
    assert schema["required"] == ["text"]
    assert schema["properties"]["text"]["description"] == "What is asked."
    assert output_schema(Echo())["properties"]["answer"]["type"] == "string"
    assert signature_of(Echo()) is signature_of(Echo())


async def test_an_output_is_json() -> None:
    assert await invoke(Echo(), {"text": "ab", "limit": 2}, None) == {"answer": "abab"}
    assert await invoke(Whole(), {"text": ""}, None) == [3]

    async def moment(_: object) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC)

    assert await invoke(Doing(moment), {}, None) == "2026-01-02T00:00:00Z"


async def test_a_plain_function_runs_in_a_thread() -> None:
    class Plain(Tool[int, str]):
        name = "plain"

        def execute(self, input: int, ctx: ToolContext) -> str:  # type: ignore[override] # allowed by the contract
            return f"{input} {threading.current_thread() is threading.main_thread()}"

    assert await invoke(Plain(), 4, None) == "4 False"


async def test_every_fault_of_an_input_is_named_by_its_pointer_and_no_value_is_repeated() -> None:
    error = await failure_of(invoke(Echo(), {"limit": "secret-4711"}, None))
    assert error.failure.code is FailureCode.INVALID_INPUT
    assert not error.failure.retryable
    errors: Any = error.failure.details["errors"]
    assert [fault["pointer"] for fault in errors] == ["/text", "/limit"]
    assert "secret-4711" not in str(error.failure)
    assert "agent 'echo'" in error.failure.message


async def test_pointers_lead_into_the_input_also_through_unions_and_odd_names() -> None:
    class Inner(BaseModel):
        number: int

    class Outer(BaseModel):
        items: list[int | Inner]
        odd: dict[str, int]

    class Picky(Agent[Outer, Answer]):
        name = "picky"

    error = await failure_of(invoke(Picky(), {"items": [1, {}], "odd": {"a/b~c": "x"}}, None))
    errors: Any = error.failure.details["errors"]
    assert {fault["pointer"] for fault in errors} == {"/items/1", "/items/1/number", "/odd/a~1b~0c"}


async def test_a_field_that_a_validator_made_is_named_too() -> None:
    class Lenient(BaseModel):
        text: str

        @model_validator(mode="before")
        @classmethod
        def in_any_of_its_forms(cls, given: Any) -> Any:
            return {"text": given.get("text") or given.get("topic")}

    class Forgiving(Agent[Lenient, Answer]):
        name = "forgiving"

    for given in ({}, {"topic": 5}, {"text": 5}):
        error = await failure_of(invoke(Forgiving(), given, None))
        assert error.failure.details == {"errors": [{"pointer": "/text", "detail": "Input should be a valid string"}]}


async def test_keys_that_begin_with_an_underscore_do_not_reach_the_agent() -> None:
    async def seen(given: dict[str, Any]) -> list[str]:
        return list(given)

    assert await invoke(Doing(seen), {"_trace_context": {}, "topic": "x", "_debug": 1}, None) == ["topic"]


async def test_an_agent_may_change_its_input_without_changing_the_callers() -> None:
    async def spoil(given: dict[str, Any]) -> int:
        given["list"].append(4)
        return len(given["list"])

    given: dict[str, Any] = {"list": [1]}
    assert await invoke(Doing(spoil), given, None) == 2
    assert given == {"list": [1]}


async def test_an_input_that_cannot_be_kept_is_refused() -> None:
    error = await failure_of(invoke(Echo(), {"text": "a\x00b"}, None))
    assert error.failure.code is FailureCode.INVALID_INPUT
    assert "/text contains the character U+0000" in error.failure.message


@pytest.mark.parametrize("output", [{"wrong": 1}, None, "text", {"answer": 4}])
async def test_an_output_of_the_wrong_shape_is_invalid_output(output: Any) -> None:
    class Liar(Agent[Question, Answer]):
        name = "liar"

        async def execute(self, input: Question, ctx: AgentContext) -> Any:
            return output

    error = await failure_of(invoke(Liar(), {"text": "x"}, None))
    assert error.failure.code is FailureCode.INVALID_OUTPUT
    assert error.failure.retryable


@pytest.mark.parametrize("output", ["a\x00b", "\ud800", float("nan"), {1: object()}, 10**400, {"deep": object()}])
async def test_an_output_that_cannot_be_kept_is_invalid_output(output: Any) -> None:
    async def give(_: object) -> Any:
        return output

    error = await failure_of(invoke(Doing(give), {}, None))
    assert error.failure.code is FailureCode.INVALID_OUTPUT
    assert unstorable(error.failure.to_json()) is None


async def test_an_output_of_more_than_a_mebibyte_is_refused_for_good() -> None:
    async def large(_: object) -> str:
        return "ü" * (MAX_OUTPUT_BYTES // 2)

    async def largest(_: object) -> str:
        return "x" * (MAX_OUTPUT_BYTES - 2)

    error = await failure_of(invoke(Doing(large), {}, None))
    assert error.failure.code is FailureCode.INVALID_OUTPUT
    assert not error.failure.retryable
    assert "1,048,578 bytes" in error.failure.message
    assert len(str(await invoke(Doing(largest), {}, None))) == MAX_OUTPUT_BYTES - 2


async def test_a_foreign_exception_becomes_a_typed_failure_of_bounded_text() -> None:
    error = await failure_of(invoke(Broken(), {"text": "x"}, None, name="renamed"))
    assert error.failure.code is FailureCode.TOOL_FAILED
    assert error.failure.message.startswith("The tool 'renamed' failed: ZeroDivisionError: no \ufffd number \ufffd xx")
    assert len(error.failure.message) < 600
    assert error.failure.details == {"type": "ZeroDivisionError"}


async def test_an_agent_that_exits_does_not_end_the_process() -> None:
    async def leave(_: object) -> None:
        raise SystemExit(3)

    error = await failure_of(invoke(Doing(leave), {}, None))
    assert error.failure.code is FailureCode.AGENT_FAILED


async def test_a_typed_failure_passes_through_a_task_group() -> None:
    async def limited() -> None:
        raise StepError(FailureCode.RATE_LIMITED, "slow down", retry_after=2)

    async def grouped(_: object) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(limited())

    error = await failure_of(invoke(Doing(grouped), {}, None))
    assert error.failure.code is FailureCode.RATE_LIMITED
    assert error.failure.retry_after == 2


async def test_a_cancel_goes_through() -> None:
    started = asyncio.Event()

    async def wait(_: object) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(invoke(Doing(wait), {}, None))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancel_that_nobody_asked_for_is_the_agents_own_failure() -> None:
    async def cancelled_within(_: object) -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    error = await failure_of(invoke(Doing(cancelled_within), {}, None))
    assert error.failure.code is FailureCode.AGENT_FAILED


async def test_a_validator_that_breaks_is_the_agents_failure() -> None:
    class Strange(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def check(cls, value: str) -> str:
            raise KeyError(value)

    class Odd(Agent[Strange, Answer]):
        name = "odd"

    error = await failure_of(invoke(Odd(), {"text": "x"}, None))
    assert error.failure.code is FailureCode.AGENT_FAILED


class Leaving(BaseModel):
    """Ends the process that checks it, writes it, or asks for its text."""

    at: str

    @model_validator(mode="after")
    def check(self) -> Leaving:
        if self.at == "the check":
            sys.exit()
        return self

    @field_serializer("at")
    def write(self, at: str) -> str:
        sys.exit()


class LeavingError(Exception):
    def __str__(self) -> str:
        raise SystemExit


class Left(Agent[Leaving, Leaving]):
    name = "left"

    async def execute(self, input: Leaving, ctx: AgentContext) -> Leaving:
        if input.at == "its text":
            raise LeavingError
        return input


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("the check", FailureCode.AGENT_FAILED),
        ("its text", FailureCode.AGENT_FAILED),
        ("writing", FailureCode.INVALID_OUTPUT),
    ],
)
async def test_types_and_errors_that_leave_end_nothing_but_their_step(at: str, code: FailureCode) -> None:
    with pytest.raises(StepError) as caught:
        await invoke(Left(), {"at": at}, None)

    assert caught.value.failure.code is code


def test_a_type_that_leaves_when_it_is_asked_at_the_door_ends_nothing() -> None:
    assert input_faults(Left(), {"at": "the check"}) == []
