"""Who speaks next, and when the chat is over."""

from __future__ import annotations

from typing import Any

from agentplat_strategy_team.group_chat import GroupChat
from agentplat_testkit.simulation.scripts import ScriptedBlock

from agentplat import FailureCode


def play(options: dict[str, Any] | None = None, **outputs: Any) -> ScriptedBlock:
    return ScriptedBlock(
        GroupChat(),
        outputs,
        input={"topic": "bees"},
        options=options or {},
        converged=lambda output: output == "agreed",
    )


SELECTED = {"order": "selected"}


def test_speakers_take_turns_in_the_order_of_the_document() -> None:
    block = play({"max_turns": 5}, a=[1, 3, 5], b=[2, 4])
    assert block.names == ["a", "b", "a", "b", "a"]
    assert block.output["status"] == "completed_max_turns"
    assert block.output["output"] == 5


def test_everybody_sees_the_same_transcript() -> None:
    block = play({"max_turns": 3}, a=["one", "three"], b=["two"])
    assert block.input_of("a", 2) == {
        "topic": "bees",
        "transcript": [{"step": "a", "output": "one"}, {"step": "b", "output": "two"}],
        "speakers": ["a", "b"],
        "turns_left": 1,
    }


def test_the_chat_ends_when_what_was_said_satisfies_the_block() -> None:
    block = play(a=["hm"], b=["agreed"])
    assert block.output["status"] == "completed_converged"
    assert block.output["turns"] == 2


def test_the_last_step_selects_who_speaks() -> None:
    block = play(SELECTED, a=["one", "two"], b=[], chair=["a", {"next": "a"}, {"result": "finish"}])
    assert block.names == ["chair", "a", "chair", "a", "chair"]
    assert block.output["status"] == "completed_decided"
    assert [one["output"] for one in block.output["transcript"]] == ["one", "two"]


def test_turns_are_capped_whoever_selects() -> None:
    block = play({**SELECTED, "max_turns": 2}, a=[1, 2, 3], chair=["a"] * 9)
    assert block.output["turns"] == 2


def test_an_unknown_speaker_is_a_failure_or_asked_for_again() -> None:
    failure = play(SELECTED, a=[], b=[], chair=["c"]).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert failure.details == {"step": "chair", "allowed": ["a", "b", "finish"], "got": "c"}
    block = play({**SELECTED, "ask_again": 1}, a=["agreed"], b=[], chair=["c", "a"])
    assert block.output["status"] == "completed_converged"
    assert play({**SELECTED, "ask_again": 1}, a=[], chair=["c", "d", "a"]).failure.details["got"] == "d"


def test_a_selecting_step_alone_is_refused() -> None:
    assert play(SELECTED, chair=["finish"]).failure.code is FailureCode.INVALID_INPUT
