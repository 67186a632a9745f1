"""Which step decides, and what the others come to."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_strategy_graph.parallel import Parallel
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import Failure, FailureCode

BROKEN = Failure(code=FailureCode.TOOL_FAILED, message="the tool broke")
SLOW = Failure(code=FailureCode.TIMEOUT, message="too slow")


def play(join: Any = None, **outputs: Any) -> ScriptedBlock:
    options = {} if join is None else {"join": join}
    return ScriptedBlock(Parallel(), outputs, input={"topic": "bees"}, options=options)


def test_all_steps_start_at_once_with_the_input_of_the_block() -> None:
    block = play(a=[1], b=[2], c=[3])
    assert block.started == [(step, {"topic": "bees"}) for step in "abc"]
    assert block.output == {"a": 1, "b": 2, "c": 3}


def test_the_output_is_in_the_order_of_the_document_whoever_is_first() -> None:
    assert list(play({"n_of": 2}, a=[], b=[2], c=[3]).output) == ["b", "c"]


def test_one_failure_fails_a_join_of_all_and_cancels_the_rest() -> None:
    block = play(a=[], b=[BROKEN], c=[])
    assert block.failure.code is FailureCode.TOOL_FAILED
    assert block.failure.details["step"] == "b"
    assert block.cancelled == ["a", "c"]


def test_any_takes_the_first_success_and_cancels_the_rest() -> None:
    block = play("any", a=[BROKEN], b=["fast"], c=[])
    assert block.output == "fast"
    assert block.cancelled == ["c"]


def test_any_fails_when_nobody_succeeds_and_says_why_the_first_did_not() -> None:
    failure = play("any", a=[BROKEN], b=[SLOW], c=[SKIPPED]).failure
    assert failure.code is FailureCode.TOOL_FAILED
    assert "2 failed, 1 were skipped" in failure.message
    assert "'a': the tool broke" in failure.message


def test_settled_waits_for_the_end_of_each_and_never_fails() -> None:
    assert play("settled", a=[1], b=[BROKEN], c=[SKIPPED]).output == {
        "a": {"status": "succeeded", "output": 1},
        "b": {"status": "failed", "failure": BROKEN.to_json()},
        "c": {"status": "skipped", "output": None},
    }


def test_n_of_takes_so_many_and_fails_as_soon_as_there_cannot_be_so_many() -> None:
    assert play({"n_of": 2}, a=["x"], b=[BROKEN], c=["y"]).output == {"a": "x", "c": "y"}
    block = play({"n_of": 2}, a=[BROKEN], b=[SLOW], c=[])
    assert block.cancelled == ["c"]
    assert "2 successes" in block.failure.message


def test_skipped_steps_are_not_waited_for() -> None:
    assert play(a=[1], b=[SKIPPED]).output == {"a": 1}
    assert play("any", a=[SKIPPED], b=[SKIPPED]).output is None
    assert play({"n_of": 2}, a=[1], b=[SKIPPED]).failure.code is FailureCode.INVALID_OUTPUT


@pytest.mark.parametrize("join", ["some", 2, {"n_of": 0}, {"n_of": "2"}, {"n_of": True}, {"n_of": 1, "x": 1}, []])
def test_a_join_that_is_none_is_refused_with_what_may_stand_there(join: Any) -> None:
    failure = play(join, a=[1]).failure
    assert failure.code is FailureCode.INVALID_INPUT
    assert "all, any, settled or {n_of: 2}" in failure.message


def test_a_join_of_more_steps_than_there_are_is_refused() -> None:
    assert "there are only 1" in play({"n_of": 2}, a=[1]).failure.message
