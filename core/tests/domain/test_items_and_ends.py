"""Single decisions about items, failures that are caught, and ends. What holds for all of them is in `test_laws.py`."""

from datetime import timedelta
from typing import Any

import pytest

from agentplat.domain.commands import StartBlock
from agentplat.domain.events import ApprovalAnswered, BlockEnding, CancelRequested, TimerFired
from agentplat.domain.failure import FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter.ending import TIME_TO_END
from agentplat.domain.interpreter.starting import MAX_ITEMS
from agentplat.domain.json import JsonValue
from agentplat.domain.strategy import BlockView, Decision, Finish, Start, Strategy
from agentplat.domain.workflow import (
    COMPENSATE,
    FINALLY,
    FOREACH,
    ITEM,
    SINGLE,
    Approval,
    Block,
    Catch,
    ForEach,
    Step,
    Workflow,
)

from .scenes import WRONG, Scene, block, step


def each(items: JsonValue, inner: Step | Block | None = None, **rest: Any) -> Block:
    foreach = ForEach(items=items, **{"max_parallel": 2, **rest})
    return Block(name="each", strategy=FOREACH, steps=(inner or step(ITEM, input="$item"),), foreach=foreach)


def ending(name: str, *steps: Step) -> Block:
    return Block(name=name, strategy=SINGLE if len(steps) == 1 else "sequential", steps=steps)


def test_items_start_a_few_at_a_time_and_give_their_outputs_in_order() -> None:
    scene = Scene(block("sequential", each(["x", "y", "z"])))
    assert scene.running == ["each[0]", "each[1]"]

    scene.succeed("each[1]", 1)
    assert scene.running == ["each[0]", "each[2]"]
    scene.succeed("each[2]", 2)
    scene.succeed("each[0]", 0)

    assert scene.outcome == ("done", {"result": [0, 1, 2]}, None)
    assert [start.input for start in scene.starts] == ["x", "y", "z"]


def test_no_items_are_an_empty_list() -> None:
    assert Scene(block("sequential", each([]))).outcome == ("done", {"result": []}, None)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ("$input", "`foreach` needs a list, and this is a map"),
        ([0] * (MAX_ITEMS + 1), f"has {MAX_ITEMS + 1} items, and at most {MAX_ITEMS}"),
    ],
)
def test_what_cannot_be_gone_through_fails_the_step(items: JsonValue, words: str) -> None:
    failure = Scene(block("sequential", each(items))).outcome[2]

    assert failure is not None
    assert failure.code is FailureCode.INVALID_INPUT
    assert words in failure.message


def test_the_first_item_that_fails_for_good_ends_the_others() -> None:
    scene = Scene(block("sequential", each(["x", "y", "z"])))

    scene.fail("each[0]", WRONG)
    assert scene.cancelling == ["each[1]"]
    scene.cancelled("each[1]")

    assert scene.outcome == ("error", None, WRONG)


def test_too_many_failures_end_what_needs_a_number_of_successes() -> None:
    scene = Scene(block("sequential", each(["x", "y", "z"], join=2, max_parallel=3)))

    scene.fail("each[0]", WRONG)
    assert scene.running == ["each[1]", "each[2]"]
    scene.fail("each[2]", WRONG)
    assert scene.cancelling == ["each[1]"]
    scene.cancelled("each[1]")

    failure = scene.outcome[2]
    assert failure is not None
    assert "0 of 3 items succeeded, and 2 had to" in failure.message
    assert failure.details["first"] == WRONG.to_json()


def test_any_of_no_items_is_a_failure() -> None:
    assert Scene(block("sequential", each([], join="any"))).outcome[0] == "error"


def test_what_a_clause_takes_does_not_fail_the_block() -> None:
    clause = Catch(frozenset({"refused"}), ending("@catch", step("mend")))
    scene = Scene(block("sequential", step("a"), step("b"), catch=(clause,)))

    scene.fail("a", WRONG)
    assert scene.running == ["@catch/mend"]
    scene.succeed("@catch/mend", "mended")

    assert scene.outcome == ("done", {"result": "mended"}, None)


def test_what_no_clause_takes_fails_the_block() -> None:
    clause = Catch(frozenset({"budget"}), ending("@catch", step("mend")))
    scene = Scene(block("sequential", step("a"), catch=(clause,)))

    scene.fail("a", WRONG)

    assert scene.outcome == ("error", None, WRONG)


def test_a_block_that_takes_too_long_fails_and_may_be_caught() -> None:
    clause = Catch(frozenset({"timeout"}), ending("@catch", step("mend")))
    scene = Scene(block("sequential", step("a"), timeout=timedelta(seconds=1), catch=(clause,)))

    scene.happens(TimerFired(path=StepPath()))
    assert scene.cancelling == ["a"]
    scene.cancelled("a")
    assert scene.running == ["@catch/mend"]


def test_finally_runs_after_success_failure_and_cancel() -> None:
    for end, status in (("succeed", "done"), ("fail", "error"), ("cancel", "cancelled")):
        scene = Scene(block("sequential", step("a"), final=ending(FINALLY, step("tidy"))))
        if end == "cancel":
            scene.happens(CancelRequested(reason="enough"))
            scene.cancelled("a")
        else:
            scene.succeed("a", 1) if end == "succeed" else scene.fail("a", WRONG)
        assert scene.running == ["@finally/tidy"]
        scene.succeed("@finally/tidy", "tidied")

        assert scene.outcome[0] == status
        scene.check_end()


def test_what_was_done_is_undone_in_reverse_order_before_finally() -> None:
    def undone(name: str) -> Step:
        return step(name, compensate=ending(COMPENSATE, step(f"un{name}")))

    root = block("sequential", undone("a"), undone("b"), step("c"), final=ending(FINALLY, step("tidy")))
    scene = Scene(root)
    scene.succeed("a", "A")
    scene.succeed("b", "B")
    scene.fail("c", WRONG)

    assert scene.running == ["@compensate/unb"]
    scene.fail("@compensate/unb", WRONG)
    assert scene.running == ["@compensate#2/una"]
    scene.succeed("@compensate#2/una")
    assert scene.running == ["@finally/tidy"]
    scene.succeed("@finally/tidy")

    status, _, failure = scene.outcome
    assert (status, failure and failure.code) == ("error", FailureCode.REFUSED)
    assert failure is not None
    assert failure.details["not_undone"] == ["b"]


def test_after_a_cancel_an_end_has_a_limit() -> None:
    scene = Scene(block("sequential", step("a"), final=ending(FINALLY, step("tidy"), step("more"))))
    scene.happens(CancelRequested(reason="enough"))
    scene.cancelled("a")
    limited = next(event for event in scene.journal if isinstance(event, BlockEnding))
    assert limited.delay == TIME_TO_END.total_seconds()

    scene.happens(TimerFired(path=StepPath()))
    assert scene.cancelling == ["@finally/tidy"]
    scene.cancelled("@finally/tidy")

    assert scene.outcome[0] == "cancelled"
    scene.check_end()


def test_an_answer_after_the_time_is_none() -> None:
    asks = step("ask", Approval(message="sure?", timeout=timedelta(minutes=1), on_timeout="reject"))
    scene = Scene(block("sequential", asks))
    late = ApprovalAnswered(path=StepPath.parse("ask"), approved=True, by="ann", answers={}, key="1")

    scene.happens(TimerFired(path=StepPath.parse("ask")), late)

    assert scene.outcome == ("done", {"approved": False, "by": None}, None)


def test_a_workflow_knows_whether_anything_can_be_undone() -> None:
    plain = block("sequential", step("a"))
    deep = block("sequential", block("sequential", step("a", compensate=ending(COMPENSATE, step("u"))), name="n"))

    assert not Workflow(name="w", root=plain).compensates
    assert Workflow(name="w", root=deep).compensates


class Third(Strategy):
    """In order; its rule has been changed twice."""

    name, revision = "third", 3

    def __init__(self) -> None:
        self.shown: set[int] = set()

    def decide(self, block: BlockView) -> Decision:
        self.shown.add(block.revision)
        done = len(block.settled)
        return Finish(None) if done == len(block.steps) else Start(block.steps[done], input=block.input)


def test_a_block_begins_with_the_revision_of_its_strategy_wherever_it_stands() -> None:
    third = Third()
    two = (step("one"), step("two"))
    handlers = {name: Block(name=name, strategy="third", steps=two) for name in ("@catch", FINALLY, COMPENSATE)}
    undone = step("a", compensate=handlers[COMPENSATE])
    inner = Block(
        name=ITEM,
        strategy="third",
        steps=(step("b"), step("c")),
        catch=(Catch(frozenset({"refused"}), handlers["@catch"]),),
    )
    scene = Scene(block("third", undone, each(["x"], inner), final=handlers[FINALLY]), third)

    for path in ("a", "each[0]/b"):
        scene.succeed(path)
    scene.fail("each[0]/c", WRONG)
    scene.succeed("each[0]/@catch/one")
    scene.fail("each[0]/@catch/two", WRONG)
    while scene.running:
        scene.succeed(scene.running[0])

    begun = {str(command.path): command.revision for command in scene.commands if isinstance(command, StartBlock)}
    assert begun == {"": 3, "each": 1, "each[0]": 3, "each[0]/@catch": 3, "@compensate": 3, "@finally": 3}
    assert third.shown == {3}
