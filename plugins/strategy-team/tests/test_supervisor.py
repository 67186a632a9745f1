"""Who works next, what they are told, and where it ends."""

from __future__ import annotations

from typing import Any

from agentplat_strategy_team.supervisor import Supervisor
from agentplat_testkit.simulation.scripts import ScriptedBlock

from agentplat import Failure, FailureCode

BROKEN = Failure(code=FailureCode.TOOL_FAILED, message="the tool broke")


def play(options: dict[str, Any] | None = None, **outputs: Any) -> ScriptedBlock:
    return ScriptedBlock(Supervisor(), outputs, input={"topic": "bees"}, options=options or {})


def test_the_supervisor_names_workers_until_it_finishes() -> None:
    orders = [{"next": "writer"}, {"next": "critic"}, {"next": "finish", "output": "done"}]
    block = play(boss=orders, writer=["text"], critic=["good"])
    assert block.names == ["boss", "writer", "boss", "critic", "boss"]
    assert block.output == {
        "status": "completed_decided",
        "output": "done",
        "turns": 3,
        "transcript": [{"step": "writer", "output": "text"}, {"step": "critic", "output": "good"}],
    }


def test_the_supervisor_knows_its_workers_and_what_they_did() -> None:
    block = play({"max_turns": 5}, boss=[{"next": "writer"}, "finish"], writer=["text"], critic=[])
    assert block.input_of("boss", 2) == {
        "topic": "bees",
        "transcript": [{"step": "writer", "output": "text"}],
        "workers": ["writer", "critic"],
        "turns_left": 4,
    }
    assert block.output["output"] == "finish"


def test_a_worker_gets_the_input_that_the_supervisor_has_for_it() -> None:
    block = play(
        boss=[{"next": "writer", "input": {"style": "dry"}}, {"next": "writer", "why": 1}, "finish"], writer=[1, 2]
    )
    assert block.input_of("writer") == {"style": "dry"}
    assert block.input_of("writer", 2) == {"topic": "bees", "order": {"next": "writer", "why": 1}}


def test_turns_are_capped_and_the_last_work_is_kept() -> None:
    block = play({"max_turns": 2}, boss=["writer"] * 5, writer=[1, 2, 3])
    assert block.names == ["boss", "writer", "boss", "writer"]
    assert block.output["status"] == "completed_max_turns"
    assert block.output["output"] == 2


def test_an_unknown_worker_is_a_failure_that_names_the_known_ones() -> None:
    failure = play(boss=[{"next": "painter"}], writer=[], critic=[]).failure
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert failure.details == {"step": "boss", "allowed": ["writer", "critic", "finish"], "got": "painter"}
    assert "writer, critic, finish" in failure.message


def test_the_supervisor_is_asked_again_within_its_turns() -> None:
    block = play({"ask_again": 1}, boss=["painter", "writer", "?", "finish"], writer=["text"])
    assert block.output["status"] == "completed_decided"
    assert block.input_of("boss", 2)["allowed"] == ["writer", "finish"]
    assert "'painter'" in block.input_of("boss", 2)["problem"]
    assert play({"ask_again": 1}, boss=["?", "?", "writer"], writer=["text"]).failure.details["got"] == "?"
    assert play({"ask_again": 9, "max_turns": 1}, boss=["?", "writer"], writer=[1]).failure.details["got"] == "?"


def test_a_failed_worker_fails_the_block_or_is_reported() -> None:
    assert play(boss=["writer"], writer=[BROKEN]).failure.details == {"step": "writer"}
    block = play({"on_failure": "tell"}, boss=["writer", "finish"], writer=[BROKEN])
    failed = {"step": "writer", "failure": {"code": "tool_failed", "message": "the tool broke"}}
    assert block.input_of("boss", 2)["transcript"] == [failed]


def test_a_failed_supervisor_fails_the_block() -> None:
    assert play({"on_failure": "tell"}, boss=[BROKEN], writer=[]).failure.details == {"step": "boss"}


def test_a_supervisor_without_workers_or_with_one_of_a_reserved_name_is_refused() -> None:
    assert play(boss=["finish"]).failure.code is FailureCode.INVALID_INPUT
    assert "'finish'" in play(boss=["finish"], finish=[1]).failure.message
