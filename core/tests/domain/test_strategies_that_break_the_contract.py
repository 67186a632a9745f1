"""A strategy is foreign code. Whatever it does, its block fails with words that say so, and nothing else breaks."""

import math
import sys
from collections.abc import Callable
from typing import Any

import pytest

from agentplat.domain.errors import StepError
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.interpreter import MAX_EXECUTIONS
from agentplat.domain.interpreter.rules import sees_failures
from agentplat.domain.json import unstorable
from agentplat.domain.strategy import BlockView, Decision, Fail, Finish, Start, Strategy, Wait

from .rules import FakeRules
from .scenes import WRONG, Scene, block, step


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("and no text either")


class Strange(Strategy):
    name = "strange"

    def __init__(self, rule: Callable[[BlockView], Any]) -> None:
        self.rule = rule

    def decide(self, block: BlockView) -> Decision:
        decision: Decision = self.rule(block)
        return decision


class Eager(Strange):
    consult_always = True


# What no type checker would let pass, but a strategy may do.
start: Any = Start
finish: Any = Finish
fail: Any = Fail


def raising(error: BaseException) -> Callable[[BlockView], Any]:
    def rule(view: BlockView) -> Any:
        raise error

    return rule


def failure_of(rule: Callable[[BlockView], Any], *, eager: bool = False) -> Failure:
    """How the task fails of which a nested block has this rule."""
    scene = Scene(
        block("sequential", block("strange", step("a"), step("b"), name="n")), (Eager if eager else Strange)(rule)
    )
    while scene.running:
        scene.succeed(scene.running[0])
    while scene.cancelling:
        scene.cancelled(scene.cancelling[0])
    scene.check_end()
    status, output, failure = scene.outcome
    assert (status, output) == ("error", None)
    assert failure is not None
    assert unstorable(failure.to_json()) is None
    assert scene.block("n").failure == failure
    return failure


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("division by zero"), "strategy 'strange' failed: ZeroDivisionError: division by zero"),
        (KeyError("a"), "failed: KeyError: 'a'"),
        (Mute(), "failed: Mute: (its text cannot be had)"),
        (ValueError("\x00 and \ud800"), "failed: ValueError: \ufffd and \ufffd"),
        (RecursionError("too deep"), "failed: RecursionError: too deep"),
        (ValueError("x" * 10**6), "failed: ValueError: xxx"),
        (NotImplementedError("not yet"), "failed: NotImplementedError: not yet"),
        (SystemExit(0), "failed: SystemExit: 0"),
    ],
)
def test_one_that_raises_fails_its_block(error: BaseException, words: str) -> None:
    failure = failure_of(raising(error))

    assert failure.code is FailureCode.AGENT_FAILED
    assert words in failure.message
    assert len(failure.message) < 3_000


def test_one_that_raises_a_typed_failure_fails_its_block_with_it() -> None:
    failure = failure_of(raising(StepError(FailureCode.INVALID_INPUT, "no topic", details={"missing": ["topic"]})))

    assert Failure(code=FailureCode.INVALID_INPUT, message="no topic", details={"missing": ["topic"]}) == failure


def test_a_typed_failure_that_cannot_be_kept_is_replaced_by_one_that_says_so() -> None:
    failure = failure_of(raising(StepError(FailureCode.INVALID_INPUT, "no\x00topic")))

    assert "Fail with a value that at /0 contains the character U+0000" in failure.message


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (None, "decide returned NoneType, not Start, Wait, Expand, Finish or Fail"),
        ("a", "decide returned str"),
        (["a"], "decide returned list"),
        (Start, "decide returned type"),
        (start("c"), "decide starts the unknown step 'c'; there are ['a', 'b']"),
        (start("a", "n", "a"), "decide starts the unknown step 'n'"),
        (start(), "decide starts no step at all"),
        (start(["a", "b"]), "decide starts the unknown step ['a', 'b']"),
        (start(None), "decide starts the unknown step None"),
        (start("a", input=object()), "Start with a value that as a whole is of type object"),
        (start("a", input={"x": math.nan}), "Start with a value that at /x is nan"),
        (finish({"x": ["\ud800"]}), "Finish with a value that at /x/0 contains half of a surrogate pair"),
        (finish({1, 2}), "Finish with a value that as a whole is of type set"),
        (fail("\x00"), "Fail with a value that at /0 contains the character U+0000"),
        (fail("no", details={"x": b""}), "Fail with a value that at /1/x is of type bytes"),
        (fail("no", "nonsense"), "'nonsense' is not a valid FailureCode"),
        (fail("no", details=5), "TypeError: 'int' object is not a mapping"),
        (Wait(), "strategy 'strange' waits, but nothing of its block is under way"),
    ],
)
@pytest.mark.parametrize("eager", [False, True])
def test_one_that_talks_nonsense_fails_its_block(decision: Any, words: str, eager: bool) -> None:
    failure = failure_of(lambda view: decision, eager=eager)

    assert failure.code is FailureCode.AGENT_FAILED
    assert words in failure.message
    assert "strange" in failure.message


class Leaving:
    """What a class says of itself, by way of leaving."""

    def __get__(self, *_: object) -> Any:
        sys.exit()


@pytest.mark.parametrize("asked", ["revision", "consult_always"])
def test_one_that_leaves_when_it_is_asked_about_itself_ends_nothing(asked: str) -> None:
    leaving: Any = type("Gone", (Strange,), {asked: Leaving()})
    scene = Scene(block("strange", step("a"), step("b")), leaving(lambda view: Start("a", "b")))

    scene.succeed("a")
    scene.fail("b", WRONG)

    assert scene.outcome == ("error", None, WRONG)


def test_one_that_leaves_when_it_is_asked_whether_it_sees_failures_sees_none() -> None:
    leaving: Any = type("Gone", (Strange,), {"sees_failures": Leaving()})

    assert not sees_failures(block("strange", step("a")), FakeRules(leaving(Wait)))


def test_one_that_talks_nonsense_while_steps_run_ends_them_first() -> None:
    def rule(view: BlockView) -> Any:
        return Start("a", "b") if not view.settled else "nonsense"

    scene = Scene(block("strange", step("a"), step("b")), Eager(rule))

    scene.succeed("a")
    assert scene.cancelling == ["b"]

    scene.cancelled("b")
    assert scene.outcome[0] == "error"


@pytest.mark.parametrize("eager", [False, True])
def test_one_that_never_ends_fails_its_block(eager: bool) -> None:
    # Its steps are skipped, so that all of it happens at once; a hundred at a time, to be through soon.
    endless = block("strange", step("a", when="no"))
    scene = Scene(endless, (Eager if eager else Strange)(lambda view: Start(*["a"] * 100)))

    failure = scene.outcome[2]
    assert failure is not None
    assert f"wants more than {MAX_EXECUTIONS} executions in one block" in failure.message
    assert len(scene.state.executions) == MAX_EXECUTIONS


def test_one_that_starts_too_much_at_once_starts_nothing() -> None:
    scene = Scene(block("strange", step("a")), Strange(lambda view: Start(*["a"] * (MAX_EXECUTIONS + 1))))

    assert scene.outcome[0] == "error"
    assert not scene.state.executions


def test_one_that_asks_for_more_after_it_has_finished_fails_its_block() -> None:
    def rule(view: BlockView) -> Decision:
        if not view.settled:
            return Start("a", "b")
        return Finish("enough") if view.open else Start("a")

    failure = failure_of(rule, eager=True)

    assert "strategy 'strange' finished its block and then asked for more" in failure.message


def test_one_that_is_not_there_fails_its_block() -> None:
    scene = Scene(block("nobody", step("a")))

    failure = scene.outcome[2]
    assert failure is not None
    assert "strategy 'nobody' failed: KeyError" in failure.message


def test_one_that_disappears_while_its_steps_run_is_missed_when_it_is_asked() -> None:
    scene = Scene(block("strange", step("a"), step("b")), Eager(lambda view: Start("a", "b")))
    del scene.rules.strategies["strange"]

    scene.succeed("a")
    scene.succeed("b")

    assert scene.outcome[0] == "error"
