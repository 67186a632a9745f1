"""An agent of `agents.yaml` that is only a prompt."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_testkit.fakes import ScriptedModel, asks_for
from agentplat_testkit.harness import StepHarness

from agentplat import AgentSpec, Effect, FailureCode, Message, StepError, Tool, ToolContext
from agentplat.engine.prompt_agent import PromptAgent
from agentplat.engine.steps.capabilities import AgentEntry
from agentplat.engine.steps.invocation import input_schema, output_schema


class Look(Tool[dict[str, str], str]):
    """Looks a word up."""

    name = "dictionary"
    effect = Effect.PURE

    async def execute(self, input: dict[str, str], ctx: ToolContext) -> str:
        return input["word"].upper()


def world(*replies: Any, entry: dict[str, Any], **given: Any) -> StepHarness:
    entry = {"name": "translator", "system": None, "output": None, **entry}
    spec = AgentSpec(
        name="translator", description="", factory="x:Y", tools=given.pop("uses", ()), config=given, prompt=entry
    )
    agent = AgentEntry(agent=PromptAgent(entry=entry), spec=spec, config=given)
    return StepHarness(agents=[agent], model=ScriptedModel(replies), tools=[Look()])


def requests(harness: StepHarness) -> Any:
    assert isinstance(harness.model_provider, ScriptedModel)
    return harness.model_provider.requests


PROMPT = "Translate to ${{ input.language }}:\n${{ input.text }}"
INPUT: Any = {"language": "Danish", "text": "two ${{ input.secret }}", "_trace_context": {}}


async def test_the_prompt_is_rendered_with_the_input_once() -> None:
    entry = {"prompt": PROMPT, "system": "You translate to ${{ input.language }}."}
    harness = world("to", entry=entry, temperature=0.2, max_tokens=50)
    assert await harness.run_agent("translator", INPUT) == {"result": "to"}
    (request,) = requests(harness)
    assert request.messages == (
        Message(role="system", content="You translate to Danish."),
        Message(role="user", content="Translate to Danish:\ntwo ${{ input.secret }}"),
    )
    assert (request.temperature, request.max_tokens) == (0.2, 50)


async def test_a_value_that_is_no_text_is_written_as_json() -> None:
    harness = world("ok", entry={"prompt": "${{ input.rows }}"})
    await harness.run_agent("translator", {"rows": [1, "ü"]})
    assert requests(harness)[0].messages[0].content == '[1, "ü"]'


@pytest.mark.parametrize(
    "output",
    [
        {"translation": "string", "certainty": {"type": "number", "maximum": 1}},
        {
            "type": "object",
            "properties": {"translation": {"type": "string"}, "certainty": {"type": "number", "maximum": 1}},
            "required": ["translation", "certainty"],
        },
    ],
)
async def test_an_output_may_be_described_in_short_or_in_full(output: dict[str, Any]) -> None:
    reply = {"translation": "to", "certainty": 0.5}
    harness = world(reply, {"certainty": 4}, entry={"prompt": "x", "output": output})
    assert await harness.run_agent("translator", {}) == reply
    schema = requests(harness)[0].output_schema
    assert schema["required"] == ["translation", "certainty"]
    assert output_schema(PromptAgent({"name": "a", "prompt": "", "output": output})) == schema
    with pytest.raises(StepError) as caught:
        await harness.run_agent("translator", {}, try_number=2)
    assert caught.value.failure.code is FailureCode.INVALID_OUTPUT
    assert "/certainty, /translation" in caught.value.failure.message


async def test_a_prompt_may_use_tools_and_end_in_a_described_output() -> None:
    entry = {"prompt": "x", "output": {"translation": "string"}}
    reply = '```json\n{"translation": "TO"}\n```'
    harness = world(asks_for("dictionary", word="to"), reply, entry=entry, uses=("dictionary",))
    assert await harness.run_agent("translator", {}) == {"translation": "TO"}
    assert '"translation"' in requests(harness)[0].messages[0].content
    assert requests(harness)[1].messages[-1].content == '"TO"'


async def test_a_missing_value_fails_for_good_and_names_the_expression() -> None:
    with pytest.raises(StepError) as caught:
        await world("to", entry={"prompt": PROMPT}).run_agent("translator", {"text": "x"})
    assert caught.value.failure.code is FailureCode.INVALID_INPUT
    assert not caught.value.failure.retryable
    assert "language" in caught.value.failure.message


async def test_an_input_has_to_be_an_object() -> None:
    with pytest.raises(StepError, match="The input of the agent 'translator' does not fit"):
        await world("to", entry={"prompt": "x"}).run_agent("translator", ["x"])
    assert input_schema(PromptAgent({"name": "a", "prompt": ""}))["type"] == "object"
