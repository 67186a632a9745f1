"""Each strategy is drawn as it goes: which step leads to which, and on what condition."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from agentplat_analysis.picture.drawing import draw
from agentplat_analysis.picture.layout import edges_of
from agentplat_analysis.picture.mermaid import mermaid
from agentplat_analysis.picture.svg import svg
from agentplat_analysis.reading import installed, written

from agentplat import BlockView, Decision, Finish, Strategy, Way
from agentplat.domain.workflow import Block, Step, ToolCall, Workflow

REGISTRIES = installed()


def edges(workflow: Workflow) -> list[str]:
    """As `a -> b: label`; dotted those that lead back."""
    names = {f"s{number}": step.name for number, step in enumerate(workflow.root.steps, 1)}
    drawn = edges_of(draw(workflow, REGISTRIES.strategy))
    return [
        f"{names.get(edge.source, edge.source)} {'..' if edge.kind == 'again' else '->'} "
        f"{names.get(edge.target, edge.target)}" + (f": {edge.label}" if edge.label else "")
        for edge in drawn
    ]


def block(strategy: str, *steps: str, more: str = "") -> Workflow:
    lines = [f"  - {step if step.startswith('{') else f'{{name: {step}, tool: calculator}}'}" for step in steps]
    text = "\n".join(["name: drawn", f"strategy: {strategy}", *([more] if more else []), "steps:", *lines, ""])
    return written(REGISTRIES, text, "drawn.yaml").workflow


def choosing(chooser: str, *others: str) -> list[str]:
    turns = [edge for other in others for edge in (f"{chooser} -> {other}", f"{other} .. {chooser}")]
    return [f"start -> {chooser}", *turns, f"{chooser} -> finish: finish, or after 10 turns"]


CASES: Sequence[tuple[Workflow, list[str]]] = [
    (block("sequential", "a", "b"), ["start -> a", "a -> b", "b -> finish"]),
    (
        block("iterative_refinement", "a", "b", more="max_iterations: 4\nuntil: ${{ steps.b.output.ok }}"),
        ["start -> a", "a -> b", "b .. a: again, at most 4 times, until ${{ steps.b.output.ok }}", "b -> finish"],
    ),
    (block("parallel", "a", "b"), ["start -> a", "start -> b", "a -> finish", "b -> finish"]),
    (
        block("parallel", "a", "b", more="join: {n_of: 1}"),
        ["start -> a", "start -> b", "a -> finish: the first 1", "b -> finish: the first 1"],
    ),
    (
        block("dag", "a", "b", "{name: c, tool: calculator, needs: [a, b]}"),
        ["start -> a", "start -> b", "a -> c", "b -> c", "c -> finish"],
    ),
    (block("map_reduce", "a", "b", "r"), ["start -> a", "a -> r", "start -> b", "b -> r", "r -> finish"]),
    (
        block("map_reduce", "a", "r", more="batch: 3"),
        ["start -> a", "a -> r", "r .. r: again, 3 at a time, until one is left", "r -> finish"],
    ),
    (
        block("router", "c", "one", "two", more="routes: {a: one, b: [one, two]}\ndefault: two\nask_again: 2"),
        [
            "start -> c",
            "c .. c: asked again, at most 2 times",
            "c -> one: a or b",
            "c -> two: b or anything else",
            "one -> finish",
            "two -> finish",
        ],
    ),
    (
        block("router", "one", "two", more="route: ${{ input.kind }}"),
        ["start -> one: one", "start -> two: two", "one -> finish", "two -> finish"],
    ),
    (
        block("vote", "a", "b", more="samples: 3"),
        [
            "start -> a: 3 times",
            "start -> b: 3 times",
            "a -> finish: more than half",
            "b -> finish: more than half",
        ],
    ),
    (
        block("vote", "a", "b", "judge", more="rule: judge"),
        ["start -> a", "start -> b", "a -> judge", "b -> judge", "judge -> finish"],
    ),
    (
        block("debate", "pro", "con", "judge"),
        ["start -> pro", "pro -> con", "con -> judge", "con .. pro: at most 2 rounds", "judge -> finish"],
    ),
    (
        block("debate", "pro", "con", "judge", more="judge: each_round\nrounds: 5"),
        ["start -> pro", "pro -> con", "con -> judge", "judge .. pro: at most 5 rounds", "judge -> finish"],
    ),
    (block("supervisor", "lead", "one", "two"), choosing("lead", "one", "two")),
    (block("group_chat", "a", "b", "chair", more="order: selected"), choosing("chair", "a", "b")),
    (
        block("group_chat", "a", "b"),
        ["start -> a", "a -> b", "b .. a: again, at most 10 turns", "a -> finish", "b -> finish"],
    ),
    (
        block("handoff", "a", "b", "c"),
        [
            "start -> a",
            *("a -> b", "a -> c", "b .. a", "b .. c", "c .. a", "c .. b"),
            *("a -> finish", "b -> finish", "c -> finish"),
        ],
    ),
    (
        block("plan_execute", "plan", "closing", more="max_iterations: 3"),
        [
            "start -> plan",
            "plan .. plan: the planned steps, and another plan when one failed, at most 3 plans",
            "plan -> closing: the planned steps",
            "closing -> finish",
        ],
    ),
    (
        block("plan_execute", "plan", more="replan: never"),
        ["start -> plan", "plan -> finish: the planned steps"],
    ),
    (
        block(
            "reactive",
            "{name: a, tool: calculator, on: x, as: y}",
            "{name: b, tool: calculator, on: [y, z]}",
            "{name: z, tool: calculator}",
            '{name: d, tool: calculator, on: "${{ input.b == 1 }}"}',
        ),
        [
            "start -> a: x",
            "a -> b: y",
            "z .. b: z",
            "start -> z",
            "start -> d: ${{ input.b == 1 }}",
            "b -> finish",
            "d -> finish",
        ],
    ),
]


@pytest.mark.parametrize(
    ("workflow", "expected"), CASES, ids=[f"{n}-{w.root.strategy}" for n, (w, _) in enumerate(CASES)]
)
def test_a_strategy_is_drawn_as_it_goes(workflow: Workflow, expected: list[str]) -> None:
    assert sorted(edges(workflow)) == sorted(expected)
    assert svg(workflow, REGISTRIES.strategy).count('class="edge') == len(expected)
    assert mermaid(workflow, REGISTRIES.strategy).count(">") >= len(expected)


def test_every_strategy_that_is_installed_is_among_them() -> None:
    assert {workflow.root.strategy for workflow, _ in CASES} == set(REGISTRIES.strategies.names)


def test_a_condition_of_a_step_stands_on_every_way_to_it() -> None:
    workflow = block("router", "c", "{name: one, tool: calculator, when: '${{ input.ok }}'}")
    assert "c -> one: one, when ${{ input.ok }}" in edges(workflow)


def test_a_block_inside_of_another_is_left_by_its_own_ends() -> None:
    inner = "{name: team, strategy: supervisor, steps: [{name: lead, tool: calculator}, {name: one, tool: calculator}]}"
    drawn = edges(block("sequential", inner, "last"))
    assert "s1_1 -> last: finish, or after 10 turns" in drawn
    assert "s1_2 .. s1_1" in drawn


class Wild(Strategy):
    """Draws what is not there, or nothing, or breaks."""

    def __init__(self, ways: list[Way] | None) -> None:
        self.said = ways

    def decide(self, block: BlockView) -> Decision:
        return Finish(None)

    def ways(self, block: BlockView) -> list[Way]:
        if self.said is None:
            raise ZeroDivisionError
        return self.said


@pytest.mark.parametrize(
    "said",
    [None, [], [Way(None, "nobody"), Way("a", None)], [Way("a", None)], [Way(None, "a")]],
    ids=["broken", "nothing", "stranger", "no beginning", "no end"],
)
def test_a_strategy_that_cannot_tell_is_drawn_by_needs(said: list[Way] | None) -> None:
    steps = (Step(name="a", body=ToolCall("t")), Step(name="b", body=ToolCall("t"), needs=("a",)))
    workflow = Workflow(name="w", root=Block(name="", strategy="wild", steps=steps))
    drawn = [(edge.source, edge.target) for edge in edges_of(draw(workflow, lambda _: Wild(said)))]
    assert drawn == [("start", "s1"), ("s1", "s2"), ("s2", "finish")]
