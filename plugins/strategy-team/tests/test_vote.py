"""Which answer wins, when, and what happens when none does."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_strategy_team.vote import Vote
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import Failure, FailureCode

BROKEN = Failure(code=FailureCode.UNAVAILABLE, message="no answer")


def play(
    options: dict[str, Any] | None = None, weights: dict[str, float] | None = None, **outputs: Any
) -> ScriptedBlock:
    told = {step: {"weight": weight} for step, weight in (weights or {}).items()}
    return ScriptedBlock(Vote(), outputs, input={"question": "?"}, options=options or {}, step_options=told)


def test_more_than_half_of_the_votes_win() -> None:
    block = play(a=["yes"], b=["no"], c=["yes"])
    assert block.names == ["a", "b", "c"]
    assert block.output == {
        "answer": "yes",
        "votes": 2,
        "of": 3,
        "answers": [{"answer": "yes", "votes": 2}, {"answer": "no", "votes": 1}],
    }


def test_a_vote_that_cannot_be_lost_any_more_ends_what_is_under_way() -> None:
    block = play(a=["yes"], b=["Yes "], c=[])
    assert block.output["answer"] == "yes"
    assert block.cancelled == ["c"]


def test_each_step_answers_as_often_as_there_are_samples() -> None:
    block = play({"samples": 3}, a=["4", "5", "4"])
    assert block.names == ["a", "a", "a"]
    assert block.output["answer"] == "4"


def test_answers_are_compared_by_a_field_and_objects_by_what_they_say() -> None:
    assert play({"field": "label"}, a=[{"label": "x", "why": 1}], b=[{"label": "X", "why": 2}]).output["votes"] == 2
    assert play(a=[{"p": 1, "q": [True]}], b=[{"q": [True], "p": 1.0}]).output["votes"] == 2
    assert play({"otherwise": "most"}, a=[1], b=[True], c=[False]).output["votes"] == 1


def test_weights_count() -> None:
    block = play({"rule": "weighted"}, {"expert": 3}, expert=["no"], a=["yes"], b=["yes"])
    assert block.output["answer"] == "no"
    assert block.cancelled == ["a", "b"]


def test_without_a_majority_the_block_fails_and_says_how_the_votes_are() -> None:
    failure = play(a=["x"], b=["y"]).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert "1 of 2" in failure.message
    assert failure.details == {"answers": [{"answer": "x", "votes": 1}, {"answer": "y", "votes": 1}]}


def test_most_votes_may_be_enough_and_the_document_breaks_a_tie() -> None:
    assert play({"otherwise": "most"}, a=["x"], b=["y"]).output["answer"] == "x"


def test_a_judge_sees_all_answers_and_decides() -> None:
    block = play({"rule": "judge", "samples": 2}, a=[1, 2], b=[3, SKIPPED], judge=[{"best": 3}])
    assert block.input_of("judge") == {
        "question": "?",
        "answers": [
            {"step": "a", "number": 1, "output": 1},
            {"step": "a", "number": 2, "output": 2},
            {"step": "b", "number": 1, "output": 3},
        ],
    }
    assert block.output == {"best": 3}


def test_a_voter_that_fails_fails_the_vote_unless_a_quorum_is_left() -> None:
    assert play(a=[BROKEN], b=["x"], c=["x"]).failure.code is FailureCode.UNAVAILABLE
    assert play({"quorum": 2}, a=[BROKEN], b=["x"], c=["x"]).output == {
        "answer": "x",
        "votes": 2,
        "of": 2,
        "answers": [{"answer": "x", "votes": 2}],
    }
    assert "`quorum`" in play({"quorum": 2}, a=[BROKEN], b=[BROKEN], c=[]).failure.message


def test_a_failed_judge_fails_the_block() -> None:
    assert play({"rule": "judge"}, a=[1], judge=[BROKEN]).failure.details == {"step": "judge"}


def test_a_vote_of_nobody_fails() -> None:
    assert "Nobody voted" in play(a=[SKIPPED], b=[SKIPPED]).failure.message


@pytest.mark.parametrize("weight", [-1, "much", True])
def test_a_weight_that_is_none_is_refused(weight: Any) -> None:
    assert play({"rule": "weighted"}, {"a": weight}, a=[1]).failure.code is FailureCode.INVALID_INPUT
