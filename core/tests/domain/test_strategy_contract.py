"""What a strategy sees, and what becomes of what it decides."""

from collections.abc import Callable
from typing import Any

import pytest

from agentplat.domain.failure import FailureCode
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.strategy import BlockView, Decision, Expand, Finish, Start, Strategy, Wait
from agentplat.domain.workflow import Block

from .rules import planned
from .scenes import SLOW, WRONG, Scene, block, step


class Told(Strategy):
    """Decides by a function, and remembers what it saw."""

    name = "told"

    def __init__(self, rule: Callable[[BlockView], Decision]) -> None:
        self.rule = rule
        self.views: list[BlockView] = []

    def decide(self, block: BlockView) -> Decision:
        self.views.append(block)
        return self.rule(block)


class Tolerant(Told):
    sees_failures = True
    consult_always = True


def all_at_once(view: BlockView) -> Decision:
    if len(view.settled) + len(view.open) < len(view.steps):
        return Start(*view.steps)
    return Wait() if view.open else Finish([done.status for done in view.settled])


def told(*steps: str, **rest: Any) -> Block:
    return block("told", *(step(name) for name in steps), **rest)


def test_one_that_sees_failures_goes_on_after_them() -> None:
    strategy = Tolerant(all_at_once)
    scene = Scene(told("a", "b"), strategy)

    scene.fail("a", WRONG)
    scene.succeed("b", 1)

    assert scene.outcome == ("done", {"result": ["failed", "succeeded"]}, None)
    failed = strategy.views[-1].settled[0]
    assert (failed.step, failed.status, failed.output, failed.failure) == ("a", "failed", None, WRONG)
    scene.check_end()


def test_one_that_sees_failures_sees_them_only_when_nothing_is_tried_again() -> None:
    strategy = Tolerant(all_at_once)
    twice = RetryPolicy(max_attempts=2)
    scene = Scene(block("told", step("a", retry=twice), step("b")), strategy)

    assert [type(event).__name__ for event in scene.fail("a", SLOW)] == ["RetryScheduled"]
    assert not strategy.views[-1].settled


def test_a_nested_block_that_failed_is_seen_as_well() -> None:
    scene = Scene(block("told", block("sequential", step("x"), name="n"), step("b")), Tolerant(all_at_once))

    scene.fail("n/x", WRONG)
    scene.succeed("b", 1)

    assert scene.outcome == ("done", {"result": ["failed", "succeeded"]}, None)


def test_what_failed_has_a_status_that_expressions_see() -> None:
    root = block("told", step("a"), step("b", input="$last"))

    def rule(view: BlockView) -> Decision:
        return Finish(None) if len(view.settled) == 2 else Start(view.steps[len(view.settled)])

    scene = Scene(root, Tolerant(rule))
    scene.fail("a", WRONG)

    assert scene.starts[-1].input == [{"of": "a", "output": None, "status": "failed", "iteration": 1}]


def test_it_sees_what_its_steps_need_and_what_is_said_of_each() -> None:
    strategy = Told(all_at_once)
    Scene(block("told", step("a"), step("b", needs=("a",)), step("c", step_options={"on": "x"})), strategy)

    assert strategy.views[0].needs == {"b": ("a",)}
    assert strategy.views[0].step_options == {"c": {"on": "x"}}


def test_it_may_ask_what_a_template_comes_to() -> None:
    def rule(view: BlockView) -> Decision:
        return Finish(view.evaluate({"n": "$count", "of": "$input"})) if view.settled else Start("a")

    scene = Scene(told("a"), Told(rule))
    scene.succeed("a")

    assert scene.outcome[1] == {"n": 1, "of": {"topic": "bees"}}


def test_a_template_that_cannot_be_evaluated_fails_the_block() -> None:
    scene = Scene(told("a"), Told(lambda view: Finish(view.evaluate("$broken"))))

    failure = scene.outcome[2]
    assert failure is not None
    assert failure.code is FailureCode.INVALID_INPUT


def test_a_step_that_is_started_twice_at_once_is_two_executions() -> None:
    def samples(view: BlockView) -> Decision:
        return Finish([done.output for done in view.settled]) if view.settled else Start("a", "a", "a")

    scene = Scene(told("a"), Told(samples))
    assert scene.running == ["a", "a#2", "a#3"]

    for path in ("a#2", "a", "a#3"):
        scene.succeed(path, path)

    assert scene.outcome[1] == {"result": ["a#2", "a", "a#3"]}


def planning(view: BlockView) -> Decision:
    if len(view.settled) < len(view.steps):
        return Start(view.steps[len(view.settled)])
    if not view.planned:
        return Expand([planned("x"), planned("y", needs=["x"])])
    return Finish({"planned": list(view.planned), "needs": {name: list(needs) for name, needs in view.needs.items()}})


def test_steps_that_a_strategy_adds_are_steps_like_the_others() -> None:
    strategy = Told(planning)
    scene = Scene(told("a"), strategy)

    for path in ("a", "x", "y"):
        scene.succeed(path)

    assert scene.outcome[1] == {"planned": ["x", "y"], "needs": {"y": ["x"]}}
    assert strategy.views[-1].steps == ("a", "x", "y")
    scene.check_end()


def test_an_added_step_is_tried_again_after_a_crash_and_a_failure() -> None:
    scene = Scene(told("a"), Told(planning))
    scene.succeed("a")

    scene.crash()
    assert scene.running == ["x"]
    assert [type(event).__name__ for event in scene.fail("x", SLOW)] == ["RetryScheduled"]


def test_a_plan_that_cannot_be_used_fails_the_block_with_what_is_wrong() -> None:
    scene = Scene(told("a"), Told(lambda view: Expand([planned("a")])))

    failure = scene.outcome[2]
    assert failure is not None
    assert failure.code is FailureCode.INVALID_OUTPUT
    assert failure.details == {"diagnostics": ["plan:1:1: no"]}


@pytest.mark.parametrize("most", [1, 3])
def test_a_block_is_expanded_at_most_as_often_as_it_may_iterate(most: int) -> None:
    scene = Scene(told("a", max_iterations=most), Told(lambda view: Expand([planned(f"p{len(view.planned)}")])))

    failure = scene.outcome[2]
    assert failure is not None
    assert f"plans again, and `max_iterations` of its block is {most}" in failure.message
    assert scene.block("").planned == tuple(f"p{number}" for number in range(most))


def test_a_plan_of_too_many_steps_is_refused() -> None:
    scene = Scene(told("a"), Told(lambda view: Expand([planned(f"p{number}") for number in range(1_000)])))

    failure = scene.outcome[2]
    assert failure is not None
    assert (failure.code, scene.block("").planned) == (FailureCode.INVALID_OUTPUT, ())


def test_a_plan_while_steps_run_that_cannot_be_used_ends_them_first() -> None:
    def rule(view: BlockView) -> Decision:
        return Expand("no steps") if view.settled else Start("a", "b")

    class Eager(Told):
        consult_always = True

    scene = Scene(told("a", "b"), Eager(rule))

    scene.succeed("a")
    assert scene.cancelling == ["b"]

    scene.cancelled("b")
    failure = scene.outcome[2]
    assert failure is not None
    assert failure.message == "no plan"
