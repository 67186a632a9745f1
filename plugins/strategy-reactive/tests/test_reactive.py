"""Who runs when which fact changes, and when nothing does any more."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_strategy_reactive.reactive import Reactive
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import FailureCode


def play(
    told: dict[str, Any], given: Any = None, steps: tuple[str, ...] | None = None, **outputs: Any
) -> ScriptedBlock:
    return ScriptedBlock(
        Reactive(),
        outputs,
        steps=steps or tuple(outputs),
        input={"topic": "bees"} if given is None else given,
        step_options=told,
        options={"max_turns": 8},
        converged=lambda facts: facts.get("good") is True,
    )


def test_a_step_runs_when_its_fact_is_there_and_gets_all_facts() -> None:
    block = play(
        {"outline": {"on": "topic"}, "draft": {"on": "points"}}, draft=[{"text": "..."}], outline=[{"points": 3}]
    )
    assert block.started == [("outline", {"topic": "bees"}), ("draft", {"topic": "bees", "points": 3})]
    assert block.output == {
        "status": "completed_settled",
        "facts": {"topic": "bees", "points": 3, "text": "..."},
        "turns": 2,
    }


def test_a_step_runs_again_when_its_fact_changes_and_not_when_it_stays() -> None:
    told = {"draft": {"on": ["topic", "notes"], "as": "text"}, "review": {"on": "text", "as": "notes"}}
    block = play(told, {"topic": "bees", "notes": ""}, draft=["one", "two"], review=["more", "more"])
    assert block.names == ["draft", "review", "draft", "review"]


def test_a_step_is_not_woken_by_what_it_wrote_itself() -> None:
    assert play({"count": {"on": "n", "as": "n"}}, {"n": 1}, count=[2, 3]).names == ["count"]


def test_all_that_are_due_run_at_once_and_the_document_orders_what_they_write() -> None:
    told = {"a": {"on": "topic", "as": "x"}, "b": {"on": "topic", "as": "x"}, "c": {"on": "x"}}
    block = play(told, b=["from b"], a=["from a"], c=[{}], steps=("a", "b", "c"))
    assert block.input_of("c")["x"] == "from b"


def test_a_step_that_waits_for_a_missing_fact_never_runs() -> None:
    assert play({"a": {"on": ["topic", "missing"]}}, a=[1]).output["turns"] == 0


def test_a_step_without_on_runs_once_and_an_output_that_is_no_object_has_its_name() -> None:
    block = play({"tell": {"on": "look"}}, look=["seen"], tell=[SKIPPED])
    assert block.names == ["look", "tell"]
    assert block.output["facts"] == {"topic": "bees", "look": "seen"}


def test_a_step_may_wait_for_an_expression_which_is_looked_at_when_nobody_else_is_due() -> None:
    seen: list[Any] = []

    def evaluate(template: Any) -> bool:
        seen.append(template)
        return True

    block = ScriptedBlock(
        Reactive(),
        {"a": [{"n": 1}], "watch": [{"m": 2}]},
        input={"topic": "bees"},
        step_options={"a": {"on": "topic"}, "watch": {"on": "${{ steps.a.output.n > 0 }}"}},
        evaluate=evaluate,
    )
    assert block.names == ["a", "watch"]
    assert seen == ["${{ steps.a.output.n > 0 }}"]


def test_facts_that_satisfy_the_block_end_it() -> None:
    block = play({"a": {"on": "topic"}, "b": {"on": "good"}}, a=[{"good": True}], b=[])
    assert block.output["status"] == "completed_converged"


def test_steps_that_never_come_to_rest_are_capped() -> None:
    told = {"a": {"on": ["topic", "y"], "as": "x"}, "b": {"on": "x", "as": "y"}}
    block = play(told, {"topic": 1, "y": 0}, a=list(range(1, 99)), b=list(range(1, 99)))
    assert block.output["status"] == "completed_max_turns"
    assert block.output["turns"] == 8


def test_true_is_another_fact_than_one() -> None:
    told = {"a": {"on": "start", "as": "x"}, "b": {"on": "x"}}
    assert play(told, {"start": 1, "x": 1}, a=[True], b=[{}, {}], steps=("a", "b")).names == ["a", "b", "b"]


@pytest.mark.parametrize("on", [7, [], [1], {"fact": "x"}])
def test_what_is_no_fact_is_refused(on: Any) -> None:
    assert play({"a": {"on": on}}, a=[1]).failure.code is FailureCode.INVALID_INPUT


def test_a_step_that_says_an_expression_runs_on_an_empty_blackboard_too() -> None:
    block = ScriptedBlock(
        Reactive(), {"first": [{"a": 1}]}, input={}, step_options={"first": {"on": "${{ true }}"}}, evaluate=bool
    )
    assert block.names == ["first"]
    assert block.output["facts"] == {"a": 1}
