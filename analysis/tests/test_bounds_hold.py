"""Random tasks of nested strategies never execute more steps than their bounds say."""

from __future__ import annotations

import random

from agentplat_analysis.bounds import Calls, bounds_of
from agentplat_analysis.reading import installed
from agentplat_testkit.contracts.strategies import OUTPUTS
from agentplat_testkit.histories.samples import Sample
from agentplat_testkit.histories.search import Search
from agentplat_testkit.simulation.tape import Tape

from agentplat import BlockView, JsonValue
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import Workflow

STRATEGIES = (
    *("sequential", "iterative_refinement", "parallel", "dag", "map_reduce", "router", "vote", "debate"),
    *("supervisor", "handoff", "group_chat", "reactive"),
)
HISTORIES = 400


class Known:
    def __init__(self, strategies: dict[str, Strategy]) -> None:
        self.strategies = strategies

    def strategy(self, name: str) -> Strategy:
        return self.strategies[name]

    def workflow(self, name: str) -> Workflow | None:
        return None

    def calls(self, agent: str) -> Calls:
        return Calls(model_calls=1, tool_calls=0, model="m:m")

    def price(self, model: str) -> float | None:
        return None


def output_of(step: str, view: BlockView, tape: Tape) -> JsonValue:
    if tape.next() % 2:
        return {"next": tape.pick(view.steps), "route": tape.pick(view.steps)}
    return tape.pick(OUTPUTS)


def test_no_random_task_executes_more_than_its_bounds_say() -> None:
    registries = installed()
    strategies = {name: registries.strategy(name) for name in STRATEGIES}
    samples = [Sample(strategy=name, output_of=output_of, min_steps=2, has_needs=name == "dag") for name in STRATEGIES]
    search, luck, most_used = Search(samples, strategies), random.Random(2026), 0.0
    for _ in range(HISTORIES):
        task = search.live((luck.randbytes(60), luck.randbytes(50), luck.randbytes(8)))
        bounds = bounds_of(task.workflow, Known(strategies))
        executed = sum(1 for entry in task.laws.steps.values() if entry.path)
        assert executed <= bounds.most["executions"], task.workflow
        most_used = max(most_used, executed / bounds.most["executions"])
    assert most_used == 1, "some task takes all that its bounds allow"
