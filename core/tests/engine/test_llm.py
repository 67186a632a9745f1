"""`ctx.llm`: replies are recorded, counted and bounded; tools can be used on the way; structure is checked."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Any

import pytest
from agentplat_testkit.fakes import DEFAULT_USAGE, ScriptedModel, asks_for
from agentplat_testkit.harness import StepHarness
from prometheus_client import REGISTRY
from pydantic import BaseModel

from agentplat import (
    Agent,
    AgentContext,
    Effect,
    FailureCode,
    Message,
    ModelReply,
    ModelRequest,
    Passage,
    StepError,
    Tool,
    ToolContext,
    ToolRequest,
    Usage,
)
from agentplat.domain.workflow import AgentCall
from agentplat.engine.steps.llm import MAX_REQUESTS_A_ROUND, MAX_ROUNDS

NOTHING = Usage()


class Pair(BaseModel):
    a: int
    b: int


class Add(Tool[Pair, int]):
    """Adds two numbers."""

    name = "add"
    effect = Effect.PURE

    async def execute(self, input: Pair, ctx: ToolContext) -> int:
        if input.a == 13:
            raise StepError(FailureCode.RATE_LIMITED, "unlucky")
        return input.a + input.b


class Verdict(BaseModel):
    approved: bool
    score: float


def harness(*script: Any, **given: Any) -> StepHarness:
    return StepHarness(model=ScriptedModel(script), tools=[Add()], **given)


def requests(harness: StepHarness) -> list[ModelRequest]:
    assert isinstance(harness.model_provider, ScriptedModel)
    return harness.model_provider.requests


async def failure_of(call: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        await call
    return caught.value


async def test_a_request_carries_everything_that_was_asked() -> None:
    world = harness("yes")
    ctx = world.agent_context()
    passage = Passage(source="a.md", text="A")
    reply = await ctx.llm.complete("why?", system="be brief", passages=[passage], temperature=0.5, max_tokens=9)
    (request,) = requests(world)
    assert reply.text == "yes"
    assert request.messages == (Message(role="system", content="be brief"), Message(role="user", content="why?"))
    assert (request.model, request.passages, request.temperature, request.max_tokens) == ("script", (passage,), 0.5, 9)
    assert request.idempotency_key is not None
    assert 0 < request.timeout <= 60
    assert (ctx.llm.model, ctx.llm.generates) == ("scripted:script", True)


async def test_usage_is_told_under_the_models_name() -> None:
    reply = await harness("a").agent_context().llm.complete("x")
    assert reply.usage == Usage(model="scripted:script", input_tokens=10, output_tokens=5, cost=3)


async def test_tokens_are_measured_when_they_are_paid_for_and_not_when_a_call_is_replayed() -> None:
    def measured() -> list[float]:
        labels = [{"model": "scripted:script", "direction": direction} for direction in ("input", "output")]
        return [REGISTRY.get_sample_value("agentplat_model_tokens_total", label) or 0.0 for label in labels]

    world, before = harness("a"), measured()
    for _ in range(2):
        await world.agent_context().llm.complete("x")
        await asyncio.sleep(0)
    assert [now - then for now, then in zip(measured(), before, strict=True)] == [10, 5]


@pytest.mark.parametrize(("known", "cost"), [(None, None), (42, 42)])
async def test_a_price_that_the_provider_does_not_know_is_looked_up_and_may_stay_unknown(
    known: int | None, cost: int | None
) -> None:
    asked: list[tuple[str, int]] = []

    def pricing(model: str, usage: Usage) -> int | None:
        asked.append((model, usage.input_tokens))
        return known

    world = StepHarness(model=ScriptedModel(["x"], usage=Usage(input_tokens=7, cost=None)), pricing=pricing)
    reply = await world.agent_context().llm.complete("x")
    assert reply.usage.cost == cost
    assert asked == [("scripted:script", 7)]


async def test_a_price_that_was_agreed_stands_in_place_of_what_the_provider_says() -> None:
    world = StepHarness(model=ScriptedModel(["x"], usage=Usage(input_tokens=7, cost=3)), pricing=lambda *_: 42)
    assert (await world.agent_context().llm.complete("x")).usage.cost == 42


TOO_MUCH = {
    "too large": ModelReply(text="x" * 1_100_000, usage=DEFAULT_USAGE),
    "too many tools": replace(
        asks_for("add"), tool_requests=asks_for("add").tool_requests * (MAX_REQUESTS_A_ROUND + 1)
    ),
    "what no database keeps": ModelReply(text="\x00", usage=DEFAULT_USAGE),
}


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_a_reply_that_is_refused_was_paid_for_all_the_same(name: str) -> None:
    def measured() -> float:
        label = {"model": "scripted:script", "direction": "input"}
        return REGISTRY.get_sample_value("agentplat_model_tokens_total", label) or 0.0

    class Asks(Agent[dict[str, Any], str]):
        name = "asks"
        tools = ("add",)

        async def execute(self, input: dict[str, Any], ctx: AgentContext) -> str:
            return (await ctx.llm.complete("x", tools=["add"])).text

    before = measured()
    world = StepHarness(model=ScriptedModel([TOO_MUCH[name]]), agents=[Asks()], tools=[Add()])
    outcome = await world.outcome(AgentCall("asks"), {})

    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.INVALID_OUTPUT
    assert outcome.usage == replace(DEFAULT_USAGE, model="scripted:script")
    assert measured() - before == DEFAULT_USAGE.input_tokens


nonsense: Any = Usage


@pytest.mark.parametrize(
    "said",
    [
        nonsense(input_tokens=-1),
        nonsense(output_tokens=-5, cost=3),
        nonsense(input_tokens=2**63),
        nonsense(output_tokens=10**400),
        nonsense(input_tokens="7"),
        nonsense(input_tokens=1.5),
        None,
    ],
)
async def test_a_usage_that_cannot_be_is_unknown_and_fails_nothing(said: Any) -> None:
    world = StepHarness(model=ScriptedModel(["a", "b"], usage=said), pricing=lambda *_: 42)
    llm = world.agent_context().llm
    replies = [await llm.complete("x"), await llm.complete("y")]

    assert [reply.usage for reply in replies] == [Usage(model="scripted:script", cost=None)] * 2
    assert [entry[:2] for entry in world.log.entries] == [("warning", "usage_unknown")], "it is said once"


@pytest.mark.parametrize("cost", [-1, 2**63, 1.5])
async def test_a_cost_that_cannot_be_is_unknown(cost: Any) -> None:
    world = StepHarness(model=ScriptedModel(["a"], usage=Usage(input_tokens=7, cost=cost)))

    assert (await world.agent_context().llm.complete("x")).usage == Usage(
        model="scripted:script", input_tokens=7, cost=None
    )


async def test_a_model_may_use_tools_before_it_answers() -> None:
    world = harness(asks_for("add", a=1, b=2), "three")
    reply = await world.agent_context().llm.complete("1+2?", tools=["add"])
    first, second = requests(world)
    assert reply.text == "three"
    assert reply.usage == DEFAULT_USAGE + DEFAULT_USAGE + Usage(model="scripted:script")
    assert first.tools[0].name == "add"
    assert first.tools[0].description == "Adds two numbers."
    assert first.tools[0].schema["required"] == ["a", "b"]
    assert second.messages[-1] == Message(role="tool", content="3", tool_request_id="add-1")
    assert second.messages[-2].tool_requests[0].arguments == {"a": 1, "b": 2}


async def test_a_model_is_told_what_was_wrong_with_its_request_and_may_correct_it() -> None:
    world = harness(asks_for("add", a="one"), asks_for("subtract", a=1), "sorry")
    reply = await world.agent_context().llm.complete("?", tools=["add"])
    said = [message.content for message in requests(world)[-1].messages if message.role == "tool"]
    assert reply.text == "sorry"
    assert "/a" in said[0]
    assert "/b" in said[0]
    assert "'subtract' is not one of those that this agent has: add" in said[1]


async def test_a_tools_passing_trouble_is_left_to_the_retry_policy() -> None:
    world = harness(asks_for("add", a=13, b=1), "never asked")
    error = await failure_of(world.agent_context().llm.complete("?", tools=["add"]))
    assert error.failure.code is FailureCode.RATE_LIMITED
    assert len(requests(world)) == 1


async def test_after_eight_rounds_the_model_has_to_answer_without_tools() -> None:
    world = StepHarness(
        model=ScriptedModel(lambda request: asks_for("add", a=1, b=1) if request.tools else "enough"), tools=[Add()]
    )
    reply = await world.agent_context().llm.complete("?", tools=["add"])
    assert reply.text == "enough"
    assert len(requests(world)) == MAX_ROUNDS + 1


async def test_a_model_that_never_answers_is_invalid_output() -> None:
    world = StepHarness(model=ScriptedModel(lambda _: asks_for("add", a=1, b=1)), tools=[Add()])
    error = await failure_of(world.agent_context().llm.complete("?", tools=["add"]))
    assert error.failure.code is FailureCode.INVALID_OUTPUT


async def test_a_model_that_asks_for_too_much_at_once_is_invalid_output() -> None:
    asked = tuple(
        ToolRequest(id=str(n), tool="add", arguments={"a": n, "b": n}) for n in range(MAX_REQUESTS_A_ROUND + 1)
    )
    world = harness(ModelReply(text="", usage=DEFAULT_USAGE, tool_requests=asked))
    error = await failure_of(world.agent_context().llm.complete("?", tools=["add"]))
    assert error.failure.code is FailureCode.INVALID_OUTPUT


async def test_a_tool_that_the_agent_does_not_have_cannot_be_offered_to_a_model() -> None:
    error = await failure_of(harness("x").agent_context().llm.complete("?", tools=["multiply"]))
    assert error.failure.code is FailureCode.INVALID_INPUT
    assert error.failure.details == {"allowed": ["add"]}


@pytest.mark.parametrize(
    "text",
    [
        '{"approved": true, "score": 0.9}',
        '  {"approved": true, "score": 0.9}\n',
        'Here it is:\n```json\n{"approved": true, "score": 0.9}\n```\nDone.',
        '```\n{"approved": true, "score": 0.9}\n```',
    ],
)
async def test_a_structured_reply_is_read_bare_or_from_a_fence(text: str) -> None:
    world = harness(text)
    verdict = await world.agent_context().llm.structured("judge", Verdict)
    assert verdict == Verdict(approved=True, score=0.9)
    schema = requests(world)[0].output_schema
    assert schema is not None
    assert schema["required"] == ["approved", "score"]


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        ("I would say yes", FailureCode.INVALID_OUTPUT, "Invalid JSON"),
        ('{"approved": "secret-4711"}', FailureCode.INVALID_OUTPUT, "/approved"),
        (
            ModelReply(text="{", usage=DEFAULT_USAGE, finish_reason="length"),
            FailureCode.INVALID_OUTPUT,
            "limit of tokens",
        ),
        (ModelReply(text="", usage=DEFAULT_USAGE, finish_reason="refused"), FailureCode.REFUSED, "refused"),
    ],
)
async def test_a_structured_reply_that_does_not_fit_says_what_was_wrong(reply: Any, code: str, says: str) -> None:
    error = await failure_of(harness(reply).agent_context().llm.structured("judge", Verdict))
    assert error.failure.code is code
    assert says in error.failure.message
    assert "4711" not in str(error.failure)


async def test_a_provider_that_breaks_its_contract_is_unavailable_and_its_words_are_kept_back() -> None:
    error = await failure_of(harness(KeyError("sk-secret")).agent_context().llm.complete("x"))
    assert error.failure.code is FailureCode.UNAVAILABLE
    assert "KeyError" in error.failure.message
    assert "sk-secret" not in error.failure.message


async def test_a_provider_that_leaves_is_unavailable() -> None:
    class Leaving(ScriptedModel):
        async def complete(self, request: ModelRequest) -> ModelReply:
            sys.exit()

    world = StepHarness(model=Leaving())
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:  # in a task of its own it would end the whole loop
            group.create_task(world.agent_context().llm.complete("x"))
    (error,) = caught.value.exceptions
    assert isinstance(error, StepError)
    assert error.failure.code is FailureCode.UNAVAILABLE


async def test_a_typed_failure_of_a_provider_passes() -> None:
    given = StepError(FailureCode.RATE_LIMITED, "wait", retry_after=3)
    error = await failure_of(harness(given).agent_context().llm.complete("x"))
    assert error is given


async def test_a_model_call_is_bounded_by_the_steps_deadline() -> None:
    class Silent(ScriptedModel):
        async def complete(self, request: ModelRequest) -> ModelReply:
            self.requests.append(request)
            await asyncio.Event().wait()
            raise AssertionError

    world = StepHarness(model=Silent(), timeout=0.05)
    error = await failure_of(world.agent_context().llm.complete("x"))
    assert error.failure.code is FailureCode.TIMEOUT
    assert requests(world)[0].timeout <= 0.05


async def test_a_reply_that_cannot_be_kept_is_invalid_output() -> None:
    error = await failure_of(harness("a\x00b").agent_context().llm.complete("x"))
    assert error.failure.code is FailureCode.INVALID_OUTPUT


async def test_a_replayed_tool_loop_reaches_neither_model_nor_tool() -> None:
    world = harness(asks_for("add", a=1, b=2), "three", "four")
    given = {"tools": ["add"]}
    first = await world.agent_context().llm.complete("1+2?", **given)  # type: ignore[arg-type] # one dict for both
    await asyncio.sleep(0)
    again = await world.agent_context().llm.complete("1+2?", **given)  # type: ignore[arg-type]
    assert again == first
    assert len(requests(world)) == 2
    other = await world.agent_context().llm.complete("2+2?", **given)  # type: ignore[arg-type]
    assert other.text == "four"


async def test_tool_loops_that_are_gathered_do_not_mix_up_their_numbers() -> None:
    def script(request: ModelRequest) -> Any:
        number = int(request.messages[0].content)
        used = sum(message.role == "tool" for message in request.messages)
        return asks_for("add", a=number, b=used) if used < number else f"done {number}"

    world = StepHarness(model=ScriptedModel(script), tools=[Add()])
    for _ in range(2):
        llm = world.agent_context().llm
        replies = await asyncio.gather(*[llm.complete(str(n), tools=["add"]) for n in (3, 1, 2)])
        assert [reply.text for reply in replies] == ["done 3", "done 1", "done 2"]
        await asyncio.sleep(0)
    assert len(requests(world)) == 4 + 2 + 3
    assert "call_diverged" not in world.log.events
