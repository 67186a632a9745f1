"""What is made of a plan, and when there is another one."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_strategy_team.plan_execute import PlanExecute
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import Failure, FailureCode

BROKEN = Failure(code=FailureCode.TOOL_FAILED, message="the tool broke")
PLAN = [{"name": "look", "agent": "a"}, {"name": "tell", "agent": "b", "needs": ["look"]}]


def play(
    outputs: dict[str, Any], *, document: tuple[str, ...] = ("plan",), most: int = 1, **options: Any
) -> ScriptedBlock:
    return ScriptedBlock(
        PlanExecute(), outputs, steps=document, input={"goal": "honey"}, options=options, max_iterations=most
    )


def test_a_plan_is_added_to_the_block_and_runs_as_its_needs_say() -> None:
    block = play({"plan": [{"steps": PLAN}], "look": ["seen"], "tell": ["told"]})
    assert block.plans == [PLAN]
    assert block.started == [("plan", {"goal": "honey"}), ("look", {"goal": "honey"}), ("tell", {"look": "seen"})]
    assert block.output == {"status": "completed", "results": {"look": "seen", "tell": "told"}, "plans": 1}


def test_steps_without_names_get_some() -> None:
    block = play({"plan": [[{"agent": "a"}, {"agent": "b"}]], "step_1": [1], "step_2": [2]})
    assert block.names == ["plan", "step_1", "step_2"]


def test_a_closing_step_gets_the_results_and_its_output_is_the_block_s() -> None:
    block = play({"plan": [PLAN], "look": ["seen"], "tell": [SKIPPED], "sum": ["all"]}, document=("plan", "sum"))
    assert block.input_of("sum") == {"goal": "honey", "results": {"look": "seen"}, "status": "completed"}
    assert block.output == "all"


def test_nothing_follows_a_skipped_step_of_a_plan() -> None:
    assert "tell" not in play({"plan": [PLAN], "look": [SKIPPED], "tell": []}).names


def test_an_empty_plan_is_done_at_once() -> None:
    assert play({"plan": [[]]}).output == {"status": "completed", "results": {}, "plans": 1}


@pytest.mark.parametrize("said", ["first look, then tell", {"steps": "none"}, [1], None, {"agent": "a"}])
def test_what_is_no_plan_is_a_failure_that_says_what_one_is(said: Any) -> None:
    failure = play({"plan": [said]}).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert "list of steps" in failure.message


def test_the_planner_is_asked_again_if_that_is_declared() -> None:
    block = play({"plan": ["hm", PLAN], "look": [1], "tell": [2]}, ask_again=1)
    assert "list of steps" in block.input_of("plan", 2)["problem"]
    assert block.output["plans"] == 1
    assert play({"plan": ["hm", "hm", PLAN]}, ask_again=1).failure.code is FailureCode.INVALID_OUTPUT


def test_a_failed_step_leads_to_another_plan_with_what_is_known() -> None:
    second = [{"name": "ask", "agent": "a"}]
    block = play({"plan": [PLAN, second], "look": [BROKEN], "ask": ["answer"]}, most=2)
    assert block.input_of("plan", 2) == {
        "goal": "honey",
        "results": {},
        "failures": [{"step": "look", "code": "tool_failed", "message": "the tool broke"}],
        "taken": ["look", "tell"],
        "plans_left": 1,
    }
    assert block.output == {"status": "completed", "results": {"ask": "answer"}, "plans": 2}


def test_what_is_under_way_ends_before_there_is_another_plan() -> None:
    plan = [{"name": "one", "agent": "a"}, {"name": "two", "agent": "a"}]
    block = play({"plan": [plan, []], "one": [BROKEN], "two": ["done"]}, most=2)
    assert block.input_of("plan", 2)["results"] == {"two": "done"}


def test_when_no_plan_is_left_a_failed_step_fails_the_block() -> None:
    assert play({"plan": [PLAN], "look": [BROKEN]}).failure.details == {"step": "look"}
    assert play({"plan": [PLAN], "look": [BROKEN]}, most=5, replan="never").failure.message == "the tool broke"


def test_a_planner_that_is_always_asked_ends_with_an_empty_plan_or_at_the_cap() -> None:
    plans = [[{"name": "one", "agent": "a"}], [{"name": "two", "agent": "a"}], []]
    block = play({"plan": plans, "one": [1], "two": [2]}, most=5, replan="always")
    assert block.output == {"status": "completed", "results": {"one": 1, "two": 2}, "plans": 3}
    block = play({"plan": plans, "one": [1], "two": [2]}, most=2, replan="always")
    assert block.output["status"] == "completed_max_iterations"


def test_a_name_of_an_earlier_plan_is_refused() -> None:
    failure = play({"plan": [PLAN, PLAN], "look": [BROKEN]}, most=2).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert failure.details == {"taken": ["look", "tell"]}


def test_planned_steps_that_need_each_other_are_refused() -> None:
    plan = [{"name": "x", "needs": ["y"]}, {"name": "y", "needs": ["x"]}]
    assert "need each other" in play({"plan": [plan]}).failure.message


def test_a_document_with_more_than_a_planner_and_a_closing_step_is_refused() -> None:
    assert play({}, document=("plan", "a", "b")).failure.code is FailureCode.INVALID_INPUT
