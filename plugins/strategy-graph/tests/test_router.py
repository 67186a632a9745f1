"""Which branches run, and what happens when nobody can say."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_strategy_graph.router import Router
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import FailureCode

MAIL = {"text": "my bill is wrong"}


def play(options: dict[str, Any] | None = None, **outputs: Any) -> ScriptedBlock:
    return ScriptedBlock(Router(), outputs, input=MAIL, options=options or {})


@pytest.mark.parametrize("said", [{"route": "billing"}, "billing", " Billing ", {"result": "billing"}])
def test_the_chosen_branch_gets_the_input_of_the_block(said: Any) -> None:
    block = play(classify=[said], billing=["paid"], support=["helped"])
    assert block.started == [("classify", MAIL), ("billing", MAIL)]
    assert block.output == "paid"


def test_labels_may_stand_for_steps_and_the_choice_in_another_field() -> None:
    options = {"field": "kind", "routes": {"money": "billing", "both": ["billing", "support"]}}
    assert play(options, classify=[{"kind": "money"}], billing=[1], support=[2]).output == 1
    assert play(options, classify=[{"kind": "both"}], billing=[1], support=[2]).output == {"billing": 1, "support": 2}


def test_several_branches_run_at_once_and_answer_by_name() -> None:
    block = play({"several": True}, classify=[{"route": ["support", "billing"]}], billing=[1], support=[2], other=[3])
    assert block.names == ["classify", "billing", "support"]
    assert block.output == {"billing": 1, "support": 2}
    assert play({"several": True}, classify=[{"route": []}], billing=[1]).output == {}


def test_an_expression_chooses_without_a_step() -> None:
    block = play({"route": "support"}, billing=[1], support=[2])
    assert block.names == ["support"]
    assert block.output == 2


def test_an_unknown_choice_is_a_failure_that_names_what_is_allowed() -> None:
    failure = play(classify=[{"route": "sales"}], billing=[1], support=[2]).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert failure.details == {"allowed": ["billing", "support"], "got": "sales"}
    assert "'sales' is none of billing, support" in failure.message


def test_an_unknown_choice_leads_to_the_default() -> None:
    assert play({"default": "support"}, classify=["?"], billing=[1], support=[2]).output == 2


def test_the_choosing_step_is_asked_again_with_what_was_wrong() -> None:
    block = play({"ask_again": 1}, classify=["?", "support"], billing=[1], support=[2])
    assert block.output == 2
    again = block.input_of("classify", 2)
    assert again["text"] == MAIL["text"]
    assert again["allowed"] == ["billing", "support"]
    assert "'?'" in again["problem"]


def test_it_is_asked_again_only_as_often_as_was_said() -> None:
    block = play({"ask_again": 1}, classify=["?", "!", "support"], billing=[1], support=[2])
    assert block.failure.details["got"] == "!"


def test_a_skipped_branch_gives_nothing() -> None:
    assert play(classify=["billing"], billing=[SKIPPED], support=[2]).output is None


@pytest.mark.parametrize("options", [{"routes": {"a": "nobody"}}, {"default": "classify"}, {"routes": "billing"}])
def test_a_branch_that_is_not_there_is_refused(options: dict[str, Any]) -> None:
    failure = play(options, classify=["a"], billing=[1]).failure
    assert failure.code is FailureCode.INVALID_INPUT
