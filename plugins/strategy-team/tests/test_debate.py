"""Who speaks when, what they know, and when the judge is asked."""

from __future__ import annotations

from typing import Any

from agentplat_strategy_team.debate import Debate
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import FailureCode


def play(options: dict[str, Any] | None = None, **outputs: Any) -> ScriptedBlock:
    return ScriptedBlock(
        Debate(),
        outputs,
        input={"question": "?"},
        options=options or {},
        converged=lambda output: isinstance(output, dict) and output.get("sure") is True,
    )


def test_speakers_take_turns_and_the_judge_ends_it() -> None:
    block = play(pro=["p1", "p2"], con=["c1", "c2"], judge=["pro"])
    assert block.names == ["pro", "con", "pro", "con", "judge"]
    assert block.output["status"] == "completed_max_rounds"
    assert block.output["verdict"] == "pro"
    assert block.output["rounds"] == 2


def test_everybody_knows_what_was_said() -> None:
    block = play(pro=["p1", "p2"], con=["c1", "c2"], judge=["pro"])
    assert block.input_of("pro") == {"question": "?", "transcript": [], "round": 1, "rounds": 2}
    assert block.input_of("con", 2)["transcript"] == [
        {"step": "pro", "round": 1, "output": "p1"},
        {"step": "con", "round": 1, "output": "c1"},
        {"step": "pro", "round": 2, "output": "p2"},
    ]
    assert len(block.input_of("judge")["transcript"]) == 4


def test_a_judge_of_each_round_may_stop_early() -> None:
    options = {"rounds": 3, "judge": "each_round"}
    for verdict in ({"decided": True}, {"sure": True}):
        block = play(options, pro=["p1", "p2"], con=["c1", "c2"], judge=[{"decided": False}, verdict])
        assert block.names == ["pro", "con", "judge", "pro", "con", "judge"]
        assert block.output["status"] == "completed_decided"
        assert block.input_of("judge")["last"] is False


def test_a_judge_of_each_round_has_to_decide_after_the_last_one() -> None:
    block = play({"rounds": 1, "judge": "each_round"}, pro=["p"], con=["c"], judge=["undecided"])
    assert block.input_of("judge")["last"] is True
    assert block.output["status"] == "completed_max_rounds"


def test_who_is_skipped_says_nothing() -> None:
    block = play({"rounds": 1}, pro=["p"], con=[SKIPPED], judge=["x"])
    assert block.input_of("judge")["transcript"] == [{"step": "pro", "round": 1, "output": "p"}]


def test_a_debate_without_speakers_is_refused() -> None:
    assert play(judge=["x"]).failure.code is FailureCode.INVALID_INPUT
