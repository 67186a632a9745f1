"""The contract suites take what keeps the contract, and name what breaks it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from agentplat_testkit import (
    AgentContract,
    InterfaceContract,
    ModelContract,
    ScriptedModel,
    StepHarness,
    StrategyContract,
    ToolContract,
    plausible,
)

from agentplat import FailureCode, Message, ModelRequest
from agentplat.plugins.registry import Registries
from agentplat.plugins.targets import load_target

SPECIMENS = """\
[agentplat]
specimen-good = specimens.good
specimen-bad = specimens.bad
"""
EXAMPLE = {"text": "a"}


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The specimens, as if their distribution were installed; for processes that a suite starts, too."""
    metadata = tmp_path / "specimens-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: specimens\nVersion: 0.1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(SPECIMENS, encoding="utf-8")
    folders = [str(tmp_path), str(Path(__file__).parent)]
    for folder in folders:
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


def suite(kind: type[Any], name: str, plugin: str = "specimen-bad", **given: Any) -> Any:
    """An instance of the suite for one specimen."""
    return type("Suite", (kind,), {"plugin": plugin, "name": name, "example": EXAMPLE, **given})()


async def verdict(call: Any) -> str:
    """What the suite says against it. AssertionError when it says nothing."""

    async def judged() -> None:
        result = call()
        if inspect.isawaitable(result):
            await result

    with pytest.raises(AssertionError) as caught:
        await judged()
    return str(caught.value)


class TestGoodStrategy(StrategyContract):
    plugin, name = "specimen-good", "good"


class TestGoodEagerStrategy(StrategyContract):
    plugin, name = "specimen-good", "eager"


class TestGoodTool(ToolContract):
    plugin, name, example = "specimen-good", "good", EXAMPLE


class TestGoodAgent(AgentContract):
    plugin, name, example = "specimen-good", "good", EXAMPLE

    @pytest.fixture
    def tools(self) -> Sequence[Any]:
        return [TestGoodTool().capability()]


class TestGoodInterface(InterfaceContract):
    plugin, name = "specimen-good", "good"


class TestGoodModel(ModelContract):
    plugin, name = "specimen-good", "good"

    @pytest.fixture
    def failing(self) -> Sequence[Any]:
        made: Any = load_target(self.spec().factory)
        return [(made(code), code) for code in (FailureCode.RATE_LIMITED, FailureCode.UNAVAILABLE)]


async def test_a_heavy_plugin_module_is_named_with_what_it_imports() -> None:
    assert "imports httpx" in await verdict(suite(StrategyContract, "fickle").test_the_plugin_is_light_to_import)


async def test_a_wrong_api_level_is_named() -> None:
    said = await verdict(suite(StrategyContract, "fickle").test_the_plugin_says_for_which_api_level_it_was_written)
    assert "99" in said


@pytest.mark.parametrize(("name", "count"), [("twice", 2), ("missing", 0)])
async def test_a_name_that_is_not_offered_exactly_once_is_named(name: str, count: int) -> None:
    assert f"offers {count} of agents" in await verdict(suite(AgentContract, name).test_the_spec_can_be_registered)


async def test_a_plugin_that_is_not_installed_is_named() -> None:
    said = await verdict(suite(AgentContract, "x", plugin="no-such").test_the_spec_can_be_registered)
    assert "no entry point 'no-such'" in said


async def test_a_spec_without_a_description_is_named() -> None:
    assert "no description" in await verdict(suite(ToolContract, "writer").test_the_spec_can_be_registered)


async def test_a_field_without_a_description_is_named() -> None:
    said = await verdict(suite(AgentContract, "undescribed").test_every_field_of_the_input_is_described)
    assert said.splitlines()[0].endswith("into: text")


def agent(name: str) -> tuple[AgentContract, StepHarness]:
    contract: AgentContract = suite(AgentContract, name)
    return contract, contract.harness_with(ScriptedModel(plausible), [])


async def test_an_agent_that_takes_anything_is_named() -> None:
    contract, harness = agent("lenient")
    said = await verdict(lambda: contract.test_an_input_that_does_not_fit_is_refused_with_the_place(harness))
    assert "{} was taken" in said


async def test_an_agent_with_a_memory_is_named() -> None:
    contract, harness = agent("stateful")
    same = contract.test_the_same_input_and_the_same_replies_give_the_same_output
    assert "keeps state" in await verdict(lambda: same([], plausible))
    assert await verdict(lambda: contract.test_a_second_attempt_is_answered_from_the_ledger(harness))


async def test_an_agent_that_leaves_something_running_is_named() -> None:
    contract, harness = agent("leaky")
    assert "leaves tasks running" in await verdict(lambda: contract.test_the_example_runs(harness))
    leaky: Any = contract.capability()
    leaky.left.cancel()
    contract, _ = agent("stubborn")
    assert "after a cancel" in await verdict(lambda: contract.test_a_cancel_ends_it_while_a_model_thinks([]))


async def test_a_pure_tool_that_writes_a_file_is_named_with_what_it_does() -> None:
    said = await verdict(suite(ToolContract, "writer").test_a_pure_tool_touches_nothing)
    assert "open(/dev/null)" in said


async def test_a_tool_that_declares_no_effect_is_named() -> None:
    contract = suite(ToolContract, "silent")
    with pytest.raises(Exception, match="effect"):
        contract.test_it_says_what_it_does_to_the_world()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fickle", "the same view gave"),
        ("endless", "goes on after"),
        ("forgetful", "goes on after"),
        ("secretive", "1 times, and says 0"),
        ("stranger", "which the block does not have"),
        ("vandal", "changes what it is shown"),
        ("waiter", "nothing is under way"),
    ],
)
async def test_a_strategy_that_breaks_its_contract_is_named(name: str, says: str) -> None:
    play = suite(StrategyContract, name).test_it_decides_alike_ends_within_its_bounds_and_starts_only_what_it_has
    with pytest.raises((AssertionError, BaseExceptionGroup)) as caught:
        play()
    assert says in "".join(_texts(caught.value))


async def test_a_strategy_that_is_drawn_with_a_step_that_is_not_there_is_named() -> None:
    drawn = suite(
        StrategyContract, "lost"
    ).test_the_ways_that_it_says_are_between_its_steps_and_lead_from_a_beginning_to_an_end
    assert "Way(source='step_0', target='somebody_else'" in await verdict(drawn)


def _texts(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _texts(inner)
    else:
        yield str(error)


async def test_a_strategy_that_draws_lots_is_named_by_what_it_imports() -> None:
    pure = "test_it_imports_nothing_but_agentplat_and_what_is_pure_of_the_standard_library"
    assert "imports random" in await verdict(getattr(suite(StrategyContract, "fickle"), pure))


REQUEST = ModelRequest(model="m", messages=(Message(role="user", content="the-prompt-4711"),))


def provider(name: str) -> tuple[ModelContract, Any]:
    contract: ModelContract = suite(ModelContract, name)
    registries: Registries = contract.registries()
    return contract, registries.model_provider(name)


async def test_a_provider_that_says_nothing_of_its_usage_is_named() -> None:
    contract, generous = provider("generous")
    said = await verdict(lambda: contract.test_it_answers_and_says_what_it_used(generous, REQUEST))
    assert "input_tokens is not filled" in said


async def test_a_provider_whose_failures_repeat_the_prompt_or_have_the_wrong_code_is_named() -> None:
    contract, talkative = provider("talkative")
    check = contract.test_its_failures_are_typed_and_do_not_repeat_the_prompt
    assert "repeats the prompt" in await verdict(lambda: check([(talkative, FailureCode.UNAVAILABLE)], REQUEST))
    assert "was due" in await verdict(lambda: check([(talkative, FailureCode.TIMEOUT)], REQUEST))


async def test_an_interface_that_asks_too_early_or_breaks_is_named() -> None:
    hasty, fragile = suite(InterfaceContract, "hasty"), suite(InterfaceContract, "fragile")
    assert "client.agents" in await verdict(hasty.test_the_application_is_made_without_asking_the_client)
    assert "answers 500" in await verdict(fragile.test_an_unknown_path_is_not_found_and_breaks_nothing)
