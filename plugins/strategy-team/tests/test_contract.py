"""What every strategy has to keep to."""

from __future__ import annotations

from agentplat_testkit import StrategyContract
from agentplat_testkit.simulation.tape import Tape

from agentplat import BlockView, JsonValue

CHOICES = ("step_1", "step_2", "step_0", "finish", " Step_1 ", "nonsense", None, 7)


def choice(view: BlockView, tape: Tape) -> JsonValue:
    """A choice of a step, written in one of the ways in which agents write."""
    named = tape.pick(CHOICES)
    return tape.pick(
        (
            {"next": named},
            {"next": named, "input": {"n": 1}},
            named,
            {"result": named},
            {"next": named, "output": 1},
            {},
        )
    )


class Chooses(StrategyContract):
    plugin = "strategy-team"

    def output_of(self, step: str, view: BlockView, tape: Tape) -> JsonValue:
        match tape.next() % 8:
            case 0:
                return super().output_of(step, view, tape)
            case 1 | 2:
                return choice(view, tape)
            case _:
                return {"next": tape.pick(view.steps)}


class TestVote(StrategyContract):
    plugin, name = "strategy-team", "vote"
    min_steps = 2
    variants = (
        {},
        {"samples": 3},
        {"samples": 2, "quorum": 2},
        {"rule": "weighted", "otherwise": "most"},
        {"rule": "judge", "samples": 2},
        {"field": "approved", "otherwise": "most", "quorum": 1},
    )
    step_variants = ({}, {"weight": 3}, {"weight": 0}, {"weight": 0.5})


class TestDebate(StrategyContract):
    plugin, name = "strategy-team", "debate"
    min_steps = 2
    variants = ({}, {"rounds": 3}, {"rounds": 3, "judge": "each_round"}, {"rounds": 1, "judge": "each_round"})


class TestSupervisor(Chooses):
    name = "supervisor"
    min_steps = 2
    variants = ({}, {"max_turns": 3}, {"ask_again": 2, "max_turns": 4}, {"on_failure": "tell"}, {"field": "result"})


class TestHandoff(Chooses):
    name = "handoff"
    min_steps = 2
    variants = ({}, {"max_turns": 2}, {"ask_again": 2, "max_turns": 3}, {"window": 0, "max_turns": 4}, {"window": 3})


class TestGroupChat(Chooses):
    name = "group_chat"
    min_steps = 2
    variants = ({}, {"max_turns": 3}, {"order": "selected", "ask_again": 2}, {"order": "selected", "max_turns": 2})


class TestPlanExecute(StrategyContract):
    plugin, name = "strategy-team", "plan_execute"
    variants = ({}, {"replan": "always"}, {"replan": "never"}, {"ask_again": 2})

    def most_executions(self, steps: int, max_iterations: int) -> int:
        return max_iterations * (3 + 5) + 1

    def output_of(self, step: str, view: BlockView, tape: Tape) -> JsonValue:
        if step != "step_0":
            return super().output_of(step, view, tape)
        place = view.count(step)
        plans: tuple[JsonValue, ...] = (
            {"steps": [{"agent": "writer"}, {"agent": "writer"}]},
            [
                {"name": f"look_{place}", "agent": "a"},
                {"name": f"tell_{place}", "agent": "b", "needs": [f"look_{place}"]},
            ],
            [
                {"name": f"one_{place}", "agent": "a"},
                {"name": f"two_{place}", "agent": "a"},
                {"name": f"three_{place}", "agent": "b", "needs": [f"one_{place}", f"two_{place}"]},
                {"name": f"four_{place}", "agent": "b", "needs": [f"three_{place}"]},
            ],
            [],
            "no plan",
            [{"name": "same", "agent": "a"}],
            [{"name": "x", "needs": ["y"]}, {"name": "y", "needs": ["x"]}],
            [{"name": "step_0"}],
            {"steps": "none"},
            None,
        )
        return tape.pick(plans)
