"""Who goes on, and when that goes in circles."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_strategy_team.handoff import Handoff
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import FailureCode


def play(options: dict[str, Any] | None = None, **outputs: Any) -> ScriptedBlock:
    return ScriptedBlock(Handoff(), outputs, input={"text": "help"}, options=options or {})


def to(step: str | None) -> dict[str, Any]:
    return {"next": step, "said": "..."}


def test_each_step_names_its_successor_until_one_names_nobody() -> None:
    block = play(triage=[to("billing")], billing=[to("refunds")], refunds=[{"said": "paid"}])
    assert block.names == ["triage", "billing", "refunds"]
    assert block.output["status"] == "completed_decided"
    assert block.output["output"] == {"said": "paid"}
    assert block.output["last"] == "refunds"


def test_the_successor_knows_what_was_done_and_who_handed_over() -> None:
    block = play(triage=[to("billing")], billing=["paid"])
    assert block.input_of("triage") == {"text": "help", "transcript": [], "handed_over_by": None}
    assert block.input_of("billing") == {
        "text": "help",
        "transcript": [{"step": "triage", "output": to("billing")}],
        "handed_over_by": "triage",
    }


def test_a_text_is_what_a_step_has_to_say_and_no_successor() -> None:
    assert play(triage=["billing"], billing=[]).names == ["triage"]


def test_turns_are_capped() -> None:
    block = play({"max_turns": 3}, a=[to("b")], b=[to("c")], c=[to("a")])
    assert block.output["status"] == "completed_max_turns"
    assert block.output["turns"] == 3


def test_ping_pong_is_seen_before_the_turns_are_used_up() -> None:
    failure = play({"max_turns": 100}, a=[to("b")] * 50, b=[to("a")] * 50, c=[]).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert failure.details == {"steps": ["a", "b"], "turns": 6}
    assert "hand over to each other" in failure.message


def test_whoever_brings_in_a_third_plays_no_ping_pong() -> None:
    outputs = {"a": [to("b"), to("b"), to("c"), to("b"), "done"], "b": [to("a"), to("a"), to("a")], "c": [to("a")]}
    assert play({"max_turns": 100}, **outputs).output["status"] == "completed_decided"


def test_ping_pong_may_be_allowed() -> None:
    block = play({"window": 0, "max_turns": 20}, a=[to("b")] * 10, b=[to("a")] * 10)
    assert block.output["status"] == "completed_max_turns"


@pytest.mark.parametrize("named", ["nobody", "triage", 7])
def test_an_unknown_successor_is_a_failure_that_names_the_known_ones(named: Any) -> None:
    failure = play(triage=[to(named)], billing=[], refunds=[]).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert failure.details["allowed"] == ["billing", "refunds"]


def test_the_step_is_asked_again_if_that_is_declared() -> None:
    block = play({"ask_again": 1}, triage=[to("nobody"), to("billing")], billing=["paid"])
    assert block.names == ["triage", "triage", "billing"]
    assert "'nobody'" in block.input_of("triage", 2)["problem"]


def test_a_skipped_step_hands_over_to_nobody() -> None:
    assert play(a=[SKIPPED], b=[]).output["output"] is None
