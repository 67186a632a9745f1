"""What every strategy has to keep to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from agentplat_testkit import StrategyContract
from agentplat_testkit.simulation.tape import Tape

from agentplat import BlockView, JsonValue

Options = Mapping[str, JsonValue]

JOINS: tuple[Options, ...] = (
    {},
    {"join": "all"},
    {"join": "any"},
    {"join": "settled"},
    {"join": {"n_of": 1}},
    {"join": {"n_of": 2}},
)


class TestParallel(StrategyContract):
    plugin, name = "strategy-graph", "parallel"
    variants = JOINS


class TestDag(StrategyContract):
    plugin, name = "strategy-graph", "dag"
    step_variants: ClassVar[Sequence[Options]] = (*[{}] * 4, *({"needed": said["join"]} for said in JOINS[1:5]))
    has_needs = True


class TestMapReduce(StrategyContract):
    plugin, name = "strategy-graph", "map_reduce"
    min_steps = 2
    variants = ({}, {"batch": 2}, {"batch": 3})

    def most_executions(self, steps: int, max_iterations: int) -> int:
        return 4 * steps  # a step gives two results at most, and each reduction takes two at least


LABELS: tuple[JsonValue, ...] = (
    "step_1",
    "step_2",
    "STEP_1",
    "nonsense",
    None,
    "a",
    "b",
    ["step_1", "step_2"],
    ["a"],
    [],
)


class TestRouterThatAsks(StrategyContract):
    plugin, name = "strategy-graph", "router"
    min_steps = 3
    variants: ClassVar[Sequence[Options]] = (
        {},
        {"several": True},
        {"default": "step_1"},
        {"ask_again": 2},
        {"field": "label", "routes": {"a": "step_1", "b": ["step_1", "step_2"]}},
        {"several": True, "ask_again": 1, "routes": {"a": "step_1", "b": ["step_1", "step_2"]}, "default": "step_2"},
    )

    def output_of(self, step: str, view: BlockView, tape: Tape) -> JsonValue:
        label = tape.pick(LABELS)
        return tape.pick(({"route": label}, label, {"label": label}, {"result": label}))


class TestRouterByExpression(TestRouterThatAsks):
    variants: ClassVar[Sequence[Options]] = tuple(
        {"route": label, "several": several, **rest}
        for label in LABELS
        for several in (False, True)
        for rest in ({}, {"default": "step_0"}, {"routes": {"a": "step_1", "b": ["step_1", "step_2"]}})
    )
