"""What each step is given, and when a block ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from agentplat_strategy_basic.checks import assessment_approved, quality_threshold
from agentplat_strategy_basic.refinement import IterativeRefinement
from agentplat_strategy_basic.sequential import Sequential

from agentplat import BlockView, Finish, JsonValue, Settled, Start, StepError, Strategy

SKIPPED = object()
TOPIC = {"topic": "leases", "depth": 2}


def play(strategy: Strategy, outputs: list[Any], **given: Any) -> tuple[list[tuple[str, JsonValue]], JsonValue]:
    """The steps that were started with their inputs, and the block's output."""
    block = BlockView(**{"steps": ("research", "assess"), "input": TOPIC, "settled": (), **given})
    started: list[tuple[str, JsonValue]] = []
    for output in [*outputs, None]:
        decision = strategy.decide(block)
        if isinstance(decision, Finish):
            assert len(started) == len(outputs), "it ended early"
            return started, decision.output
        assert isinstance(decision, Start)
        (step,) = decision.steps
        started.append((step, decision.input))
        status: Any = "skipped" if output is SKIPPED else "succeeded"
        settled = Settled(
            step=step, number=block.count(step) + 1, status=status, output=None if output is SKIPPED else output
        )
        block = replace(block, settled=(*block.settled, settled))
    raise AssertionError(f"it did not end after {outputs}")


def test_sequential_hands_each_output_to_the_next_step() -> None:
    started, output = play(Sequential(), ["a", {"b": 1}, "c"], steps=("one", "two", "three"))
    assert started == [
        ("one", TOPIC),
        ("two", {"previous_output": "a", "research_findings": "a", "original_topic": "leases"}),
        ("three", {"previous_output": {"b": 1}}),
    ]
    assert output == "c"


def test_sequential_runs_each_step_once_whatever_max_iterations_says() -> None:
    assert play(Sequential(), ["a", "b"], max_iterations=5)[1] == "b"


@pytest.mark.parametrize("given", [None, "text", {"question": "x"}, [1]])
def test_without_a_topic_the_second_step_is_told_of_none(given: JsonValue) -> None:
    started, _ = play(Sequential(), ["a", "b"], input=given)
    assert started == [("research", given), ("assess", {"previous_output": "a", "research_findings": "a"})]


def test_a_skipped_step_passes_on_what_came_before_it() -> None:
    started, output = play(Sequential(), ["a", SKIPPED, "c"], steps=("one", "two", "three"))
    assert started[2] == (
        "three",
        {"previous_output": "a", "research_findings": "a", "original_topic": "leases"},
    )
    assert output == "c"
    started, output = play(Sequential(), [SKIPPED, "b", SKIPPED], steps=("one", "two", "three"))
    assert started[1] == ("two", TOPIC)
    assert output == "b"


def test_a_sequence_of_which_everything_is_skipped_gives_nothing() -> None:
    assert play(Sequential(), [SKIPPED, SKIPPED])[1] is None


def approved(output: JsonValue) -> bool:
    return assessment_approved(output, {})


def test_refinement_ends_at_once_when_the_first_iteration_is_good_enough() -> None:
    last = {"approved": True, "feedback": "fine"}
    started, output = play(IterativeRefinement(), ["findings", last], max_iterations=3, converged=approved)
    assert started[1] == (
        "assess",
        {"previous_output": "findings", "research_findings": "findings", "original_topic": "leases"},
    )
    assert output == {
        "status": "completed_converged",
        "research_findings": "findings",
        "final_assessment": last,
        "iterations": 1,
    }


def test_refinement_hands_the_feedback_to_the_next_iteration() -> None:
    outputs: list[Any] = ["f1", {"approved": False, "feedback": "say more"}, "f2", {"approved": True}]
    started, output = play(IterativeRefinement(), outputs, max_iterations=3, converged=approved)
    assert started[2] == ("research", {**TOPIC, "previous_feedback": "say more"})
    assert started[3][1] == {"previous_output": "f2", "research_findings": "f2", "original_topic": "leases"}
    assert output == {
        "status": "completed_converged",
        "research_findings": "f2",
        "final_assessment": {"approved": True},
        "iterations": 2,
    }


@pytest.mark.parametrize("last", [{"score": 1}, "too short", {"feedback": ["a list"]}, 7])
def test_an_output_without_a_text_of_feedback_is_the_feedback(last: Any) -> None:
    started, _ = play(IterativeRefinement(), ["f", last, "f", last], max_iterations=2)
    assert started[2] == ("research", {**TOPIC, "previous_feedback": last})


def test_feedback_is_that_of_the_iteration_before_only() -> None:
    outputs = ["f", {"feedback": "one"}, "f", {"feedback": "two"}, "f", {"feedback": "three"}]
    started, output = play(IterativeRefinement(), outputs, max_iterations=3)
    assert [given for step, given in started if step == "research"] == [
        TOPIC,
        {**TOPIC, "previous_feedback": "one"},
        {**TOPIC, "previous_feedback": "two"},
    ]
    assert isinstance(output, Mapping)
    assert (output["status"], output["iterations"]) == ("completed_max_iterations", 3)


def test_refinement_without_a_check_runs_all_iterations() -> None:
    _, output = play(IterativeRefinement(), ["a", "b"] * 4, max_iterations=4)
    assert isinstance(output, Mapping)
    assert (output["status"], output["iterations"]) == ("completed_max_iterations", 4)


def test_an_approval_in_the_last_iteration_counts() -> None:
    outputs: list[Any] = ["f", {"approved": False}, "f", {"approved": True}]
    _, output = play(IterativeRefinement(), outputs, max_iterations=2, converged=approved)
    assert isinstance(output, Mapping)
    assert output["status"] == "completed_converged"


def test_one_step_can_refine_itself() -> None:
    outputs: list[Any] = [{"approved": False, "feedback": "again"}, {"approved": True}]
    started, output = play(
        IterativeRefinement(), outputs, steps=("write",), input="a text", max_iterations=3, converged=approved
    )
    assert started == [("write", "a text"), ("write", {"input": "a text", "previous_feedback": "again"})]
    assert isinstance(output, Mapping)
    assert output["research_findings"] == output["final_assessment"] == {"approved": True}


def test_a_skipped_assessment_leaves_the_findings_to_be_judged() -> None:
    outputs: list[Any] = ["f", SKIPPED, {"approved": True}, SKIPPED]
    started, output = play(IterativeRefinement(), outputs, max_iterations=3, converged=approved)
    assert started[2] == ("research", {**TOPIC, "previous_feedback": "f"})
    assert isinstance(output, Mapping)
    assert (output["final_assessment"], output["iterations"]) == ({"approved": True}, 2)


def test_iterations_of_which_everything_is_skipped_come_to_an_end() -> None:
    started, output = play(IterativeRefinement(), [SKIPPED] * 4, max_iterations=2, converged=approved)
    assert started[2] == ("research", TOPIC)
    assert output == {
        "status": "completed_max_iterations",
        "research_findings": None,
        "final_assessment": None,
        "iterations": 2,
    }


@pytest.mark.parametrize(
    ("output", "holds"),
    [({"approved": True}, True), ({"approved": "yes"}, False), ({"approved": 1}, False), ({}, False), (None, False)],
)
def test_an_approval_is_true_and_nothing_like_it(output: JsonValue, holds: bool) -> None:
    assert assessment_approved(output, {}) is holds


@pytest.mark.parametrize(
    ("output", "options", "holds"),
    [
        ({"quality_score": 0.8}, {}, True),
        ({"quality_score": 0.79}, {}, False),
        ({"quality_score": 0.5}, {"quality_threshold": 0.5}, True),
        ({"quality_score": 1}, {"quality_threshold": 1}, True),
        ({"quality_score": True}, {}, False),
        ({"quality_score": "0.9"}, {}, False),
        ({}, {}, False),
        ("0.9", {}, False),
    ],
)
def test_a_score_is_compared_with_the_threshold(
    output: JsonValue, options: Mapping[str, JsonValue], holds: bool
) -> None:
    assert quality_threshold(output, options) is holds


@pytest.mark.parametrize("threshold", ["0.5", True, None])
def test_a_threshold_that_is_no_number_is_an_error(threshold: JsonValue) -> None:
    with pytest.raises(StepError, match="quality_threshold"):
        quality_threshold({"quality_score": 1}, {"quality_threshold": threshold})
