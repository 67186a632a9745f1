"""A step's body is run with everything it may use, and comes to one typed outcome."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agentplat_testkit.fakes import ScriptedModel
from agentplat_testkit.harness import StepHarness
from pydantic import BaseModel

from agentplat import Agent, AgentContext, AgentSpec, Effect, FailureCode, StepError, Tool, ToolContext, ToolSpec
from agentplat.domain.json import unstorable
from agentplat.domain.workflow import AgentCall, ToolCall
from agentplat.engine.steps.capabilities import AgentEntry, ToolEntry
from agentplat.engine.steps.context import run_body

Body = Callable[[dict[str, Any], AgentContext], Awaitable[Any]]


class Doing(Agent[dict[str, Any], Any]):
    """Does what a test wants."""

    name = "doing"

    def __init__(self, body: Body, tools: tuple[str, ...] = ()) -> None:
        self.body = body
        self.tools = tools

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> Any:
        return await self.body(input, ctx)


class Text(BaseModel):
    text: str


class Shout(Tool[Text, str]):
    """Upper case."""

    name = "shout"
    effect = Effect.READS

    async def execute(self, input: Text, ctx: ToolContext) -> str:
        return input.text.upper()


class Send(Tool[Text, dict[str, str]]):
    """Sends once."""

    name = "send"
    effect = Effect.AT_MOST_ONCE
    fails: Exception | None = None

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def execute(self, input: Text, ctx: ToolContext) -> dict[str, str]:
        self.sent.append(input.text)
        if self.fails is not None:
            raise self.fails
        return {"key": ctx.idempotency_key}


def doing(body: Body, uses: tuple[str, ...] = (), **given: Any) -> StepHarness:
    return StepHarness(agents=[Doing(body, uses)], **given)


async def test_an_agent_sees_its_surroundings() -> None:
    async def look(_: object, ctx: AgentContext) -> Any:
        ctx.log.info("looked", at=1)
        ctx.emit("halfway", done=1)
        return {
            "tenant": ctx.tenant,
            "config": dict(ctx.config),
            "task": ctx.task_id,
            "key": ctx.idempotency_key,
            "tools": list(ctx.tools.names),
            "in_time": 0 < ctx.deadline <= 60,
        }

    world = doing(look, ("shout",), tools=[Shout()], tenant="acme", config={"a": 1})
    seen = await world.run_agent("doing", {})
    assert seen["tenant"] == "acme"
    assert seen["config"] == {"a": 1}
    assert seen["task"] == str(world.task_id)
    assert seen["tools"] == ["shout"]
    assert seen["in_time"] is True
    assert ("info", "looked", {"at": 1}) in world.log.entries
    assert world.emitted == [("halfway", {"done": 1})]
    again = await world.run_agent("doing", {}, try_number=2)
    assert again["key"] == seen["key"]


async def test_an_agent_has_the_tools_of_its_class_and_of_its_entry() -> None:
    async def call(_: object, ctx: AgentContext) -> Any:
        return [await ctx.tools.call("shout", text="a"), sorted(ctx.tools.names)]

    agent = Doing(call, ("send",))
    spec = AgentSpec(name="renamed", description="", factory="x:Y", tools=("shout", "send"))
    world = StepHarness(agents=[AgentEntry(agent=agent, spec=spec)], tools=[Shout(), Send()])
    assert await world.run_agent("renamed", {}) == ["A", ["send", "shout"]]


async def test_a_tool_that_was_not_declared_is_refused_with_the_allowed_ones() -> None:
    async def call(_: object, ctx: AgentContext) -> Any:
        return await ctx.tools.call("send", text="a")

    outcome = await doing(call, ("shout",), tools=[Shout(), Send()]).outcome(AgentCall("doing"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.INVALID_INPUT
    assert outcome.failure.details == {"allowed": ["shout"]}


@pytest.mark.parametrize("argument", [object(), float("nan"), "\x00", {1: 2}])
async def test_a_tool_is_called_with_json_only(argument: Any) -> None:
    async def call(_: object, ctx: AgentContext) -> Any:
        return await ctx.tools.call("shout", text=argument)

    outcome = await doing(call, ("shout",), tools=[Shout()]).outcome(AgentCall("doing"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.INVALID_INPUT
    assert "/text" in outcome.failure.message


async def test_a_tool_sees_its_config_settings_and_project() -> None:
    class Look(Tool[dict[str, Any], dict[str, Any]]):
        name = "look"
        effect = Effect.READS

        async def execute(self, input: dict[str, Any], ctx: ToolContext) -> dict[str, Any]:
            seen = [ctx.config, ctx.settings, ctx.project, ctx.tenant, 0 < ctx.deadline <= 60, ctx.idempotency_key]
            return {"seen": seen, **input}

    spec = ToolSpec(name="look", description="", factory="x:Y", effect=Effect.READS, config={"c": 1})
    entry = ToolEntry(tool=Look(), spec=spec, settings={"s": 2})
    outcome = await StepHarness(tools=[entry], project="/p").outcome(ToolCall("look"), {"given": 3, "_hidden": 4})
    output: Any = outcome.output
    assert output["seen"][:5] == [{"c": 1}, {"s": 2}, "/p", "default", True]
    assert set(output) == {"seen", "given"}


async def test_usage_is_counted_also_when_the_step_fails() -> None:
    async def ask(_: object, ctx: AgentContext) -> Any:
        await ctx.llm.complete("a")
        raise ValueError("then it broke")

    outcome = await doing(ask, model=ScriptedModel(["x"])).outcome(AgentCall("doing"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.AGENT_FAILED
    assert outcome.usage.cost == 3
    assert outcome.usage.model == "scripted:script"


async def test_a_step_that_takes_too_long_fails_with_timeout_and_leaves_nothing_running() -> None:
    ended = asyncio.Event()

    async def dawdle(_: object, ctx: AgentContext) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    outcome = await doing(dawdle, timeout=0.01).outcome(AgentCall("doing"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.TIMEOUT
    assert outcome.failure.retryable
    assert ended.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("answer", ["returns", "raises"])
async def test_an_agent_that_ignores_its_time_limit_has_timed_out_all_the_same(answer: str) -> None:
    async def stubborn(_: object, ctx: AgentContext) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if answer == "raises":
                raise ValueError("hidden") from None
        return "late"

    outcome = await doing(stubborn, timeout=0.01).outcome(AgentCall("doing"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.TIMEOUT


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_cancel_comes_out_even_if_the_agent_swallows_it(swallows: bool) -> None:
    started = asyncio.Event()

    async def wait(_: object, ctx: AgentContext) -> Any:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallows:
                raise
        return "as if nothing had happened"

    running = asyncio.ensure_future(doing(wait).outcome(AgentCall("doing"), {}))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_unknown_name_is_a_failure_that_lists_the_known_ones() -> None:
    world = StepHarness(tools=[Shout()])
    for body, text in ((AgentCall("nobody"), "Agent 'nobody' not found"), (ToolCall("nothing"), "tools: shout")):
        outcome = await world.outcome(body, {})
        assert outcome.failure is not None
        assert outcome.failure.code is FailureCode.INVALID_INPUT
        assert text in outcome.failure.message


async def test_an_agent_that_cannot_be_made_is_a_failure() -> None:
    class Unmakable(StepHarness):
        def agent(self, name: str) -> AgentEntry:
            raise ImportError("no module named torch")

    outcome = await Unmakable().outcome(AgentCall("heavy"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.AGENT_FAILED
    assert "no module named torch" in outcome.failure.message


async def test_a_failure_can_be_kept_whatever_an_agent_puts_into_it() -> None:
    async def nasty(_: object, ctx: AgentContext) -> Any:
        raise StepError(FailureCode.REFUSED, "\x00" + "x" * 9999, details={"o": float("inf")})

    outcome = await doing(nasty).outcome(AgentCall("doing"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.REFUSED
    assert unstorable(outcome.failure.to_json()) is None
    assert len(outcome.failure.message) == 2000


async def test_a_step_that_is_an_effect_is_not_repeated_after_its_outcome_was_recorded() -> None:
    send = Send()
    world = StepHarness(tools=[send])
    first = await world.run_tool("send", {"text": "a"})
    for try_number in (1, 2):
        assert await world.run_tool("send", {"text": "a"}, try_number=try_number) == first
    assert send.sent == ["a"]


async def test_a_step_whose_effect_is_in_doubt_does_not_run_again() -> None:
    send = Send()
    send.fails = ValueError("connection reset")
    world = StepHarness(tools=[send])
    first = await world.outcome(ToolCall("send"), {"text": "a"})
    second = await world.outcome(ToolCall("send"), {"text": "a"}, try_number=2)
    assert first.failure is not None
    assert second.failure is not None
    assert first.failure.code is FailureCode.TOOL_FAILED
    assert not first.failure.retryable
    assert second.failure.code is FailureCode.IN_DOUBT
    assert send.sent == ["a"]


async def test_a_wrong_input_of_an_effect_leaves_no_doubt() -> None:
    send = Send()
    world = StepHarness(tools=[send])
    outcome = await world.outcome(ToolCall("send"), {})
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.INVALID_INPUT
    assert "key" in await world.run_tool("send", {"text": "a"}, try_number=2)


async def test_a_crashed_agent_goes_on_where_its_calls_had_come_to() -> None:
    send = Send()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def work(_: object, ctx: AgentContext) -> Any:
        reply = await ctx.llm.complete("what shall I send?")
        sent = await ctx.tools.call("send", text=reply.text)
        reached.set()
        await go_on.wait()
        last = await ctx.llm.complete("and now?")
        return {"sent": sent["key"], "last": last.text}

    model = ScriptedModel(["hello", "bye"])
    world = doing(work, ("send",), tools=[send], model=model)
    running = asyncio.ensure_future(world.outcome(AgentCall("doing"), {}))
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    go_on.set()
    outcome = await world.outcome(AgentCall("doing"), {})
    output: Any = outcome.output
    assert output["last"] == "bye"
    assert send.sent == ["hello"]
    assert len(model.requests) == 2
    assert outcome.usage.cost == 6


async def test_a_late_call_of_a_forgotten_task_is_refused() -> None:
    late: list[asyncio.Task[Any]] = []
    go_on = asyncio.Event()

    async def leak(_: object, ctx: AgentContext) -> Any:
        async def afterwards() -> Any:
            await go_on.wait()
            return await ctx.tools.call("shout", text="a")

        late.append(asyncio.create_task(afterwards()))
        return "done"

    assert await doing(leak, ("shout",), tools=[Shout()]).run_agent("doing", {}) == "done"
    go_on.set()
    with pytest.raises(RuntimeError, match="after its step had ended"):
        await late[0]


async def test_a_plain_function_can_emit_and_log_from_its_thread() -> None:
    class Plain(Agent[dict[str, Any], str]):
        name = "plain"

        def execute(self, input: dict[str, Any], ctx: AgentContext) -> str:  # type: ignore[override] # by contract
            ctx.emit("started", thread=threading.current_thread() is threading.main_thread())
            return "ok"

    world = StepHarness(agents=[Plain()])
    assert await world.run_agent("plain", {}) == "ok"
    assert world.emitted == [("started", {"thread": False})]


async def test_what_cannot_be_kept_is_not_emitted() -> None:
    async def emit(_: object, ctx: AgentContext) -> Any:
        ctx.emit("odd", value=float("nan"))
        return 1

    world = doing(emit)
    assert await world.run_agent("doing", {}) == 1
    assert world.emitted == []
    assert world.log.events == ["emit_dropped"]


async def test_the_model_of_an_agent_is_the_one_that_its_configuration_names() -> None:
    async def which(_: object, ctx: AgentContext) -> Any:
        return ctx.llm.model

    spec = AgentSpec(name="doing", description="", factory="x:Y", model="openai:small")
    for config, model in (({}, "openai:small"), ({"model": "ollama:llama"}, "ollama:llama")):
        world = StepHarness(agents=[AgentEntry(agent=Doing(which), spec=spec, config=config)])
        assert await world.run_agent("doing", {}) == model
        outcome = await world.outcome(AgentCall("doing", model="openrouter:large"), {})
        assert outcome.output == "openrouter:large"


async def test_a_record_that_is_lost_is_raised_instead_of_an_outcome() -> None:
    class Away(StepHarness):
        async def _keep(self, call: object) -> None:
            raise OSError("the lease is lost")

    async def swallow(_: object, ctx: AgentContext) -> Any:
        try:
            return await ctx.tools.call("send", text="a")
        except OSError:
            return "as if nothing had happened"

    world = Away(agents=[Doing(swallow, ("send",))], tools=[Send()])
    with pytest.raises(OSError, match="lease is lost"):
        await run_body(AgentCall("doing"), {}, world.attempt(), world.surroundings())
