"""An isolated agent or tool does what it does in the worker's own process; the worker keeps what must stay with it."""

from __future__ import annotations

import asyncio
import os

import pytest
from agentplat_testkit.fakes import ScriptedModel, asks_for

from agentplat import FailureCode, ModelReply, ModelRequest, StepError
from agentplat.engine.steps.invocation import input_schema

from .conftest import Lab


async def test_a_tool_runs_in_another_process_and_sees_its_context(lab: Lab) -> None:
    harness = lab()
    seen = await harness.run_tool("where", {"text": "ü\ud7ff"})

    assert seen["pid"] != os.getpid()
    assert seen["group"] == seen["pid"], "its own group, so that all of it can be killed"
    assert seen["typed"] == ""
    assert (seen["settings"], seen["tenant"], seen["in_time"]) == ({"folder": "notes"}, "default", True)
    assert seen["key"] == harness.tool_context("where").idempotency_key
    assert seen["text"] == "ü\ud7ff"


async def test_only_the_variables_that_a_program_needs_are_seen_and_those_that_are_named(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPLAT_DATABASE_URL", "postgresql://secret@here/x")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("GRANTED", "yes")

    environment = (await lab(environment=("GRANTED",)).run_tool("where", {}))["environment"]

    assert "secret" not in str(environment)
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["GRANTED"] == "yes"


async def test_what_asks_for_nothing_runs_in_the_worker_unless_it_is_named(lab: Lab) -> None:
    assert await lab().run_agent("plain", {}) == os.getpid()
    assert await lab(agents=("plain",)).run_agent("plain", {}) != os.getpid()


async def test_an_agent_uses_model_tools_and_log_through_the_worker(lab: Lab) -> None:
    model = ScriptedModel(["one", "two", asks_for("shout", text="three"), "done", '{"good": true}'])
    harness = lab(model)

    given = await harness.run_agent("asker", {})

    assert given["given"] == ["one", "two", "done"]
    assert (given["judged"], given["said"], given["refused"]) == (True, "LOUD", "invalid_input")
    assert (given["model"], given["names"]) == ("scripted:script", ["shout"])
    assert given["task"] == str(harness.task_id)
    assert given["config"] == {"tone": "dry"}
    assert ("warning", "begun", {"odd": "inf"}) in harness.log.entries
    assert harness.emitted == [("half", {"percent": 50})]
    assert [call.kind for call in harness.recorded].count("tool") == 2
    assert [call.kind for call in harness.recorded].count("model") == 5


async def test_after_a_crash_it_is_answered_from_the_ledger(lab: Lab) -> None:
    model = ScriptedModel(["one", "two", asks_for("shout", text="three"), "done", '{"good": true}'])
    harness = lab(model)
    first = await harness.run_agent("asker", {})

    again = await harness.run_agent("asker", {})

    assert again == first
    assert len(model.requests) == 5, "nothing is paid for twice"


async def test_what_its_model_used_is_counted(lab: Lab) -> None:
    harness = lab(ScriptedModel(["no JSON"]))
    from agentplat.domain.workflow import AgentCall

    outcome = await harness.outcome(AgentCall("misjudging"), {})

    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.INVALID_OUTPUT
    assert "structured reply of scripted:script" in outcome.failure.message
    assert outcome.usage.input_tokens == 10


async def test_a_call_that_it_stops_is_stopped(lab: Lab) -> None:
    stopped = asyncio.Event()

    class Slow(ScriptedModel):
        async def complete(self, request: ModelRequest) -> ModelReply:
            if request.messages[-1].content == "slow":
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    stopped.set()
                    raise
            return await super().complete(request)

    assert await lab(Slow(["quick"])).run_agent("impatient", {}) == "quick"
    assert stopped.is_set()


async def test_a_model_is_told_what_the_tool_takes(lab: Lab) -> None:
    tool = lab().tool("shout").tool
    assert input_schema(tool)["properties"]["text"]["type"] == "string"


async def test_failures_are_those_that_it_would_have_in_the_worker(lab: Lab) -> None:
    harness = lab()
    assert await harness.run_tool("shout", {"text": "thread"}) == "THREAD"

    with pytest.raises(StepError) as limited:
        await harness.run_tool("limited", {})
    with pytest.raises(StepError) as broken:
        await harness.run_tool("broken", {})
    with pytest.raises(StepError) as misfit:
        await harness.run_tool("shout", {"text": 5})

    failure = limited.value.failure
    assert (failure.code, failure.retryable, failure.retry_after) == (FailureCode.RATE_LIMITED, True, 3.0)
    assert failure.details == {"left": 0}
    assert "The tool 'broken' failed: ValueError: no" in broken.value.failure.message
    assert misfit.value.failure.code is FailureCode.INVALID_INPUT
    assert "/text" in misfit.value.failure.message
