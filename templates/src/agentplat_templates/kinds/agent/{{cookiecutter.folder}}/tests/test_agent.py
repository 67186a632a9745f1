"""The agent, run as a worker runs it, with a model that says what it is told."""

from typing import Any

import pytest
from {{ cookiecutter.package }}.agent import {{ cookiecutter.class_name }}
from agentplat_testkit import ScriptedModel, StepHarness

from agentplat import StepError


async def answer(model: ScriptedModel, text: str, **config: int) -> Any:
    agent = {{ cookiecutter.class_name }}()
    return await StepHarness(agents=[agent], model=model, config=config).run_agent(agent.name, {"text": text})


async def test_the_answer_is_what_the_model_says() -> None:
    model = ScriptedModel(["It is about leases."])
    assert await answer(model, "A lease.") == {"text": "It is about leases."}
    assert "<text>\nA lease.\n</text>" in model.requests[0].messages[-1].content


async def test_the_length_can_be_set() -> None:
    model = ScriptedModel(["Short."])
    await answer(model, "A lease.", sentences=3)
    assert "in 3 sentences" in model.requests[0].messages[-1].content


async def test_a_text_is_needed() -> None:
    with pytest.raises(StepError, match="text"):
        await answer(ScriptedModel(["Short."]), "")
