"""What starts after what, and what is left out."""

from __future__ import annotations

from typing import Any

from agentplat_strategy_graph.needs import ByNeeds
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import Failure, FailureCode

BROKEN = Failure(code=FailureCode.TOOL_FAILED, message="the tool broke")


def play(needs: dict[str, str], joins: dict[str, Any] | None = None, **outputs: Any) -> ScriptedBlock:
    """`needs` has the steps as words: {"d": "b c"}."""
    return ScriptedBlock(
        ByNeeds(),
        outputs,
        input={"topic": "bees"},
        needs={step: tuple(wanted.split()) for step, wanted in needs.items()},
        step_options={step: {"needed": join} for step, join in (joins or {}).items()},
    )


DIAMOND = {"b": "a", "c": "a", "d": "b c"}


def test_a_step_gets_what_its_needs_gave_and_the_last_one_is_the_output() -> None:
    block = play(DIAMOND, a=[1], b=[2], c=[3], d=[4])
    assert block.started == [("a", {"topic": "bees"}), ("b", {"a": 1}), ("c", {"a": 1}), ("d", {"b": 2, "c": 3})]
    assert block.output == 4


def test_everything_that_is_ready_is_under_way_at_once() -> None:
    block = play({"c": "a"}, a=[1], b=[], c=[BROKEN])
    assert block.names == ["a", "b", "c"]
    assert block.cancelled == ["b"]


def test_the_order_of_the_document_does_not_matter() -> None:
    assert play({"d": "a", "b": "d"}, b=[3], d=[2], a=[1]).names == ["a", "d", "b"]


def test_several_last_steps_are_the_output_by_name() -> None:
    assert play({"b": "a", "c": "a"}, a=[1], b=[2], c=[SKIPPED]).output == {"b": 2}


def test_nothing_follows_a_skipped_step() -> None:
    block = play({"b": "a", "c": "b"}, a=[SKIPPED], b=[2], c=[3])
    assert block.names == ["a"]
    assert block.output is None


def test_where_branches_meet_again_one_of_them_is_enough() -> None:
    block = play(DIAMOND, a=[1], b=[SKIPPED], c=[3], d=[4])
    assert block.input_of("d") == {"c": 3}
    assert block.output == 4


def test_a_failed_step_fails_the_block() -> None:
    block = play(DIAMOND, a=[1], b=[BROKEN], c=[], d=[4])
    assert block.failure.details == {"step": "b"}
    assert block.cancelled == ["c"]


def test_a_step_that_waits_for_any_starts_at_the_first_success_and_once() -> None:
    block = play(DIAMOND, {"d": "any"}, a=[1], b=[2], c=[3], d=[4])
    assert block.input_of("d") == {"b": 2}
    assert block.names.count("d") == 1


def test_a_failure_is_borne_where_who_needs_the_step_can_do_without_it() -> None:
    assert play(DIAMOND, {"d": "any"}, a=[1], b=[BROKEN], c=[3], d=[4]).output == 4
    assert play(DIAMOND, {"d": "settled"}, a=[1], b=[BROKEN], c=[SKIPPED], d=[4]).input_of("d") == {}
    assert play(DIAMOND, {"d": {"n_of": 1}}, a=[1], b=[3], c=[BROKEN], d=[4]).output == 4


def test_a_failure_that_was_borne_in_vain_fails_the_block_after_all() -> None:
    assert play(DIAMOND, {"d": "any"}, a=[1], b=[BROKEN], c=[SKIPPED], d=[4]).failure.message == "the tool broke"


def test_a_step_that_needs_all_is_left_out_when_one_is_skipped() -> None:
    block = play({**DIAMOND, "e": "c"}, {"d": "all"}, a=[1], b=[SKIPPED], c=[3], d=[4], e=[5])
    assert "d" not in block.names
    assert block.output == {"e": 5}


def test_steps_that_need_each_other_are_named() -> None:
    failure = play({"a": "b", "b": "a"}, a=[1], b=[2]).failure
    assert failure.code is FailureCode.INVALID_INPUT
    assert "need each other" in failure.message
