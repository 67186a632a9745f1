"""Bounds of small workflows, counted by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from agentplat_analysis.amounts import Amounts, Quantity, dearest
from agentplat_analysis.bounds import Bounds, Calls, bounds_of

from agentplat import BlockView, Decision, Finish, JsonObject, JsonValue, Strategy
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.workflow import (
    CATCH,
    COMPENSATE,
    FINALLY,
    FOREACH,
    ITEM,
    Approval,
    Block,
    Body,
    Catch,
    ForEach,
    SignalWait,
    Step,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)

if TYPE_CHECKING:
    from .conftest import Compiler


class Once(Strategy):
    def decide(self, block: BlockView) -> Decision:
        return Finish(None)

    def most_of(self, step: str, block: BlockView) -> int:
        return 1


class Repeats(Once):
    def most_of(self, step: str, block: BlockView) -> int:
        return block.max_iterations


class Turns(Once):
    """A leader, and at most three turns of the others together."""

    def most_executions(self, block: BlockView) -> int | None:
        return 4

    def most_of(self, step: str, block: BlockView) -> int:
        return 1 if step == block.steps[0] else 3


class Plans(Once):
    def most_executions(self, block: BlockView) -> int | None:
        return None


class Broken(Once):
    def most_executions(self, block: BlockView) -> int | None:
        raise ZeroDivisionError


class Known:
    """Agents make one call and two of tools; what `writer` does nobody knows. A million tokens cost two dollars."""

    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        self.prices = {"acme:big": 2.0} if prices is None else prices
        self.workflows: dict[str, Workflow] = {}
        self.strategies: dict[str, Strategy] = {
            "turns": Turns(),
            "plans": Plans(),
            "iterative_refinement": Repeats(),
            "debate": Broken(),
        }

    def strategy(self, name: str) -> Strategy:
        return self.strategies.get(name, Once())

    def workflow(self, name: str) -> Workflow | None:
        return self.workflows.get(name)

    def calls(self, agent: str) -> Calls:
        if agent == "writer":
            return Calls(model="acme:big")
        return Calls(model_calls=1, tool_calls=2, model="acme:big")

    def price(self, model: str) -> float | None:
        return self.prices.get(model)


def found(compiler: Compiler, text: str, known: Known | None = None) -> Bounds:
    return bounds_of(compiler.compile(text), known or Known())


def test_steps_of_a_sequence_add_up(compiler: Compiler) -> None:
    bounds = found(
        compiler,
        """\
name: w
steps:
  - {agent: research, timeout: 10s, retry: {max_attempts: 1}}
  - {tool: calculator, timeout: 2s, retry: {max_attempts: 3, backoff: exponential, initial: 1s, max: 60s}}
  - {name: pause, wait: {duration: 1m}}
""",
    )
    most = bounds.most
    assert (most["executions"], most["model_calls"], most["tool_calls"]) == (3, 1, 2 + 3)
    assert most["seconds"] == 10 + (3 * 2 + 1 + 2) + 60
    assert bounds.dominating == {}


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        ("{max_attempts: 4, backoff: exponential, initial: 2s, max: 5s}", 4 + 2 + 4 + 5),
        ("{max_attempts: 4, backoff: linear, initial: 2s, max: 5s}", 4 + 2 + 4 + 5),
        ("{max_attempts: 4, backoff: constant, initial: 2s, max: 5s}", 4 + 2 * 3),
        ("{max_attempts: 100, backoff: exponential, initial: 1s, max: 1s}", 100 + 99),
    ],
)
def test_pauses_between_attempts_count_at_their_longest(compiler: Compiler, retry: str, seconds: float) -> None:
    text = f"name: w\nsteps:\n  - {{tool: calculator, timeout: 1s, retry: {retry}}}\n"
    assert found(compiler, text).most["seconds"] == seconds


NESTED = """\
name: w
defaults: {timeout: 1s, retry: {max_attempts: 1}}
steps:
  - name: outer
    strategy: iterative_refinement
    max_iterations: 3
    until: false
    steps:
      - {name: first, tool: calculator}
      - name: inner
        strategy: iterative_refinement
        max_iterations: 5
        until: false
        steps:
          - agent: research
"""


def test_loops_multiply_and_the_one_that_costs_most_is_named(compiler: Compiler) -> None:
    bounds = found(compiler, NESTED)
    assert bounds.most["executions"] == 3 * (1 + 5)
    assert bounds.most["model_calls"] == 15
    # Of 15 model calls 12 would be gone without the inner loop, and 10 without the outer one.
    assert bounds.dominating["model_calls"].path == ("outer", "inner")
    assert bounds.dominating["model_calls"].saved["model_calls"] == 12


def test_a_total_that_a_strategy_says_counts_for_the_dearest_steps(compiler: Compiler) -> None:
    text = """\
name: w
strategy: turns
defaults: {timeout: 1s, retry: {max_attempts: 1}}
steps:
  - {name: leader, tool: calculator}
  - {name: cheap, tool: calculator}
  - {name: dear, agent: research}
"""
    bounds = found(compiler, text)
    assert bounds.most["executions"] == 4
    assert bounds.most["model_calls"] == 3
    assert bounds.most["tool_calls"] == 3 * 2 + 1
    assert bounds.dominating["executions"].path == ()


def test_what_has_no_bound_says_why(compiler: Compiler) -> None:
    text = """\
name: w
steps:
  - agent: writer
  - {name: ask, wait: {signal: answer}}
"""
    bounds = found(compiler, text)
    assert bounds.most["executions"] == 2
    assert all(math.isinf(bounds.most[each]) for each in ("model_calls", "tool_calls", "tokens", "seconds"))
    assert [(cause.quantities, cause.path) for cause in bounds.causes] == [
        (("model_calls",), ("writer",)),
        (("tool_calls",), ("writer",)),
        (("seconds",), ("ask",)),
        (("tokens",), ()),
    ]


@pytest.mark.parametrize("strategy", ["plans", "debate"])
def test_a_strategy_that_cannot_say_is_bounded_by_the_engine_only(compiler: Compiler, strategy: str) -> None:
    bounds = found(compiler, f"name: w\nstrategy: {strategy}\nsteps:\n  - agent: research\n")
    assert bounds.most["executions"] == 1_000
    assert math.isinf(bounds.most["model_calls"])
    assert f"strategy `{strategy}`" in bounds.causes[0].reason


def test_a_deadline_bounds_the_time(compiler: Compiler) -> None:
    text = "name: w\nbudget: {wall_time: 1h}\nsteps:\n  - {name: ask, wait: {signal: answer}}\n"
    bounds = found(compiler, text)
    assert bounds.most["seconds"] == 3600
    assert bounds.causes == ()


def test_money_is_known_unknown_or_none(compiler: Compiler) -> None:
    asks, calculates = "name: w\nsteps: [{agent: research}]\n", "name: w\nsteps: [{tool: calculator}]\n"
    assert found(compiler, calculates).cost == 0
    assert found(compiler, asks).cost == math.inf
    assert found(compiler, asks, Known({"acme:big": 0.0})).cost == 0
    unknown = found(compiler, asks, Known({}))
    assert (unknown.cost, unknown.unpriced) == (None, ("acme:big",))


def one(seconds: int, name: str = "a", compensate: Block | None = None) -> Step:
    policy = RetryPolicy(max_attempts=1)
    return Step(name=name, body=ToolCall("t"), timeout=timedelta(seconds=seconds), retry=policy, compensate=compensate)


def block(*steps: Step | Block, name: str = "b", **rest: Any) -> Block:
    return Block(name=name, strategy="sequential", steps=steps, **rest)


def each(items: JsonValue, most: int, step: Step) -> Block:
    foreach = ForEach(items=items, max_parallel=most)
    return Block(name="each", strategy=FOREACH, steps=(replace(step, name=ITEM),), foreach=foreach)


def test_items_of_a_list_are_counted_and_go_side_by_side() -> None:
    bounds = bounds_of(Workflow(name="w", root=block(each([1, 2, 3, 4, 5], 2, one(10)))), Known())
    assert (bounds.most["executions"], bounds.most["seconds"]) == (5, 30)
    assert (bounds.dominating["executions"].path, bounds.dominating["executions"].kind) == (
        ("each",),
        "foreach, at most 5 items",
    )


@pytest.mark.parametrize(
    ("items", "most"),
    [
        ("${{ input.urls }}", 7),
        ("${{ input.deep.urls }}", 3),
        ("${{ input.words }}", 10_000),
        ("${{ input.urls | sort }}", 10_000),
        ("${{ steps.a.output }}", 10_000),
    ],
)
def test_items_that_the_input_says_are_bounded_by_its_schema_else_by_the_engine(items: str, most: int) -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {
            "urls": {"type": "array", "maxItems": 7},
            "words": {"type": "array"},
            "deep": {"type": "object", "properties": {"urls": {"type": "array", "maxItems": 3}}},
        },
    }
    bounds = bounds_of(Workflow(name="w", root=block(each(items, 2, one(1))), input_schema=schema), Known())
    assert bounds.most["executions"] == most
    assert [cause.path for cause in bounds.causes] == ([("each",)] if most == 10_000 else [])


def test_what_follows_a_failure_and_what_comes_at_the_end_count_too() -> None:
    root = block(
        one(100, compensate=block(one(7), name=COMPENSATE)),
        name="",
        timeout=timedelta(seconds=90),
        catch=(
            Catch(on=frozenset({"permanent"}), block=block(one(1), one(2, "c"), name=f"{CATCH}1")),
            Catch(on=frozenset({"timeout"}), block=block(one(4), name=f"{CATCH}2")),
        ),
        final=block(one(5), name=FINALLY),
    )
    bounds = bounds_of(Workflow(name="w", root=root), Known())
    assert bounds.most["executions"] == 2 + 2 + 1
    assert bounds.most["seconds"] == 90 + 5
    unlimited = bounds_of(Workflow(name="w", root=replace(root, timeout=None)), Known())
    assert unlimited.most["seconds"] == 107 + 4 + 5


@pytest.mark.parametrize("body", [Approval(message="?"), UntilWait("${{ input.at }}"), SignalWait("go")])
def test_what_may_wait_for_ever_says_so(body: Body) -> None:
    bounds = bounds_of(Workflow(name="w", root=block(Step(name="a", body=body))), Known())
    assert math.isinf(bounds.most["seconds"])
    assert [(cause.quantities, cause.path) for cause in bounds.causes] == [(("seconds",), ("a",))]


def call(workflow: str, attempts: int = 1, timeout: timedelta | None = None) -> Step:
    retry = RetryPolicy(max_attempts=attempts, backoff="constant", initial=timedelta(seconds=5))
    return Step(name=workflow, body=WorkflowCall(workflow, timeout), retry=retry)


def test_what_another_workflow_takes_counts_in_each_attempt() -> None:
    known = Known()
    known.workflows["inner"] = Workflow(name="inner", root=block(one(10), each([1, 2, 3], 1, one(7)), name=""))
    bounds = bounds_of(Workflow(name="w", root=block(call("inner", attempts=2))), known)
    assert bounds.most["executions"] == 1 + 2 * 4
    assert bounds.most["seconds"] == 2 * (10 + 3 * 7) + 5
    assert bounds.dominating["executions"].path == ("inner", "each")
    limited = bounds_of(Workflow(name="w", root=block(call("inner", timeout=timedelta(seconds=8)))), known)
    assert limited.most["seconds"] == 8


def test_the_deadline_of_another_workflow_bounds_it() -> None:
    known = Known()
    known.workflows["inner"] = Workflow(name="inner", root=block(one(100), name=""), deadline=timedelta(seconds=9))
    assert bounds_of(Workflow(name="w", root=block(call("inner"))), known).most["seconds"] == 9


@pytest.mark.parametrize(
    ("workflow", "reason"),
    [
        ("nobody", "workflow `nobody` is not known here, or at fault"),
        ("w", "the workflow calls itself (w -> w), and only how deep tasks may be ends that"),
        ("ring", "the workflow calls itself (w -> ring -> w), and only how deep tasks may be ends that"),
    ],
)
def test_of_a_workflow_that_is_not_known_or_has_no_end_it_says_so(workflow: str, reason: str) -> None:
    known = Known()
    known.workflows["ring"] = Workflow(name="ring", root=block(call("w")))
    whole = Workflow(name="w", root=block(call(workflow)))
    known.workflows["w"] = whole
    bounds = bounds_of(whole, known)
    assert reason in [cause.reason for cause in bounds.causes]
    assert all(math.isinf(bounds.most[quantity]) for quantity in ("executions", "model_calls", "tool_calls", "seconds"))
    assert bounds.cost is None, "nobody knows what its models cost"


def test_nothing_of_something_infinite_is_nothing() -> None:
    infinite = Amounts({"seconds": math.inf})
    assert infinite.times(0)["seconds"] == 0
    assert dearest([(infinite, 0), (Amounts({"seconds": 1}), 5)], 3)["seconds"] == 3


def test_the_dearest_parts_go_first_and_each_as_often_as_it_may() -> None:
    parts: list[tuple[Amounts, float]] = [
        (Amounts({"tool_calls": 1}), 10),
        (Amounts({"tool_calls": 7}), 2),
        (Amounts({"tool_calls": 3, "model_calls": 5}), 4),
    ]
    most = dearest(parts, 5)
    expected: dict[Quantity, float] = {"tool_calls": 7 * 2 + 3 * 3, "model_calls": 5 * 4}
    assert {each: most[each] for each in expected} == expected
