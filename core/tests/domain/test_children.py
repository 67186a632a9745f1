"""Steps that run as tasks of their own: what the interpreter asks for, and what their ends lead to."""

from datetime import timedelta
from typing import Any

import pytest

from agentplat.domain.commands import Command, DispatchChild
from agentplat.domain.events import CancelRequested, ChildDispatched, RetryScheduled, StepCancelRequested, TimerFired
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonValue
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.state import Phase
from agentplat.domain.workflow import (
    FOREACH,
    ITEM,
    AgentCall,
    Block,
    Concurrency,
    Dispatch,
    ForEach,
    Step,
    ToolCall,
    WorkflowCall,
)

from .scenes import SLOW, WRONG, Scene, block, step

ANOTHER = WorkflowCall("another")
FAR = Dispatch(queue="far")


def dispatched(scene: Scene) -> list[DispatchChild]:
    commands: list[Command] = scene.commands
    return [command for command in commands if isinstance(command, DispatchChild)]


def for_each(items: JsonValue, most: int, inner: Step) -> Block:
    foreach = ForEach(items=items, max_parallel=most)
    return Block(name="gather", strategy=FOREACH, steps=(inner,), foreach=foreach)


def test_a_workflow_is_a_task_of_its_own_and_its_output_is_the_steps() -> None:
    scene = Scene(block("sequential", step("call", ANOTHER, input={"n": 1}), step("after")))

    assert dispatched(scene) == [
        DispatchChild(
            path=StepPath.parse("call"),
            body=ANOTHER,
            attempt=1,
            try_number=1,
            input={"n": 1},
            timeout=None,
            queue=None,
            concurrency_key=None,
            limit=None,
        )
    ]
    assert scene.execution("call").phase is Phase.DISPATCHED
    scene.succeed("call", {"answer": 42})
    assert scene.starts[-1].input == {"previous": {"answer": 42}}
    scene.succeed("after", {"all": "well"})
    assert scene.outcome == ("done", {"all": "well"}, None)


def test_what_waits_for_a_child_runs_no_body() -> None:
    scene = Scene(block("sequential", step("call", ANOTHER)))

    assert not scene.state.is_under_way


@pytest.mark.parametrize("body", [AgentCall("writer"), ToolCall("calculator")], ids=["agent", "tool"])
def test_an_agent_or_tool_with_a_queue_is_a_task_there_with_the_time_of_the_step(body: AgentCall | ToolCall) -> None:
    limited = Dispatch(queue="far", concurrency=Concurrency("$count", 2))
    scene = Scene(block("sequential", step("call", body, dispatch=limited, timeout=timedelta(seconds=7))))

    child = dispatched(scene)[0]
    assert (child.body, child.queue, child.timeout) == (body, "far", timedelta(seconds=7))
    assert (child.concurrency_key, child.limit) == ("0", 2)
    assert scene.starts == []


def test_a_workflow_has_the_time_that_its_step_says_for_all_of_it() -> None:
    scene = Scene(block("sequential", step("call", WorkflowCall("another", timedelta(hours=2)))))

    assert dispatched(scene)[0].timeout == timedelta(hours=2)


def test_a_new_owner_does_not_start_a_child_again() -> None:
    scene = Scene(block("sequential", step("call", ANOTHER)))

    assert scene.crash() == []
    assert scene.execution("call").phase is Phase.DISPATCHED
    scene.succeed("call", {"n": 1})
    assert scene.outcome == ("done", {"n": 1}, None)


def test_a_child_that_fails_is_tried_again_as_another_task_of_the_same_input_and_key() -> None:
    keyed = Dispatch(concurrency=Concurrency("$count", 1))
    call = step("call", ANOTHER, input="$input", dispatch=keyed, retry=RetryPolicy(max_attempts=2))
    scene = Scene(block("parallel", call, step("beside"), options={"join": "all"}))
    first = scene.execution("call")
    scene.succeed("beside")  # now its key would be another one

    assert [type(event) for event in scene.fail("call", SLOW)] == [RetryScheduled]
    again = scene.happens(TimerFired(path=StepPath.parse("call")))

    assert isinstance(again[0], ChildDispatched)
    assert (again[0].attempt, again[0].try_number, again[0].concurrency_key) == (2, 2, "0")
    second = scene.execution("call")
    assert second.id == first.id, "a reader knows the step by its first id"
    assert (first.child, second.child) == (first.id, again[0].execution_id)
    assert again[0].input == first.input
    scene.fail("call", SLOW)
    assert scene.outcome == ("error", None, SLOW)


def test_a_child_that_fails_for_good_fails_the_step_with_its_own_failure() -> None:
    scene = Scene(block("sequential", step("call", ANOTHER)))
    failure = Failure(code=FailureCode.POISONED, message="child task 7 was given up")

    scene.fail("call", failure)

    assert scene.outcome == ("error", None, failure)


def test_a_cancel_tells_the_child_once_and_waits_for_its_end() -> None:
    scene = Scene(block("sequential", step("call", ANOTHER)))

    assert scene.happens(CancelRequested(reason="now")) == [StepCancelRequested(path=StepPath.parse("call"))]
    assert scene.execution("call").phase is Phase.RECALLED
    assert not scene.state.is_under_way
    assert scene.crash() == [], "a new owner waits for it as well"
    scene.cancelled("call")
    assert scene.outcome[0] == "cancelled"


def test_a_child_that_was_told_to_end_may_end_otherwise() -> None:
    scene = Scene(block("sequential", step("call", ANOTHER)))
    scene.happens(CancelRequested(reason="now"))

    scene.succeed("call", {"n": 1})

    assert scene.execution("call").phase is Phase.SUCCEEDED
    assert scene.outcome[0] == "cancelled"


def test_a_child_that_others_cancelled_fails_the_step() -> None:
    scene = Scene(block("sequential", step("call", ANOTHER)))

    scene.cancelled("call")

    status, _, failure = scene.outcome
    assert status == "error"
    assert failure is not None
    assert failure.code is FailureCode.CANCELLED


def test_a_failure_beside_children_tells_all_of_them_to_end() -> None:
    scene = Scene(block("parallel", step("a", ANOTHER), step("b", dispatch=FAR), step("c"), options={"join": "all"}))

    scene.fail("c", WRONG)

    assert [scene.execution(name).phase for name in "ab"] == [Phase.RECALLED] * 2
    scene.cancelled("a")
    scene.succeed("b")
    assert scene.outcome == ("error", None, WRONG)


def test_foreach_keeps_so_many_children_open_and_gives_their_outputs_in_order() -> None:
    scene = Scene(block("sequential", for_each(["x", "y", "z"], 2, step(ITEM, ANOTHER, input={"of": "$item"}))))

    assert [child.input for child in dispatched(scene)] == [{"of": "x"}, {"of": "y"}]
    scene.succeed("gather[1]", "second")
    assert [str(child.path) for child in dispatched(scene)] == ["gather[0]", "gather[1]", "gather[2]"]
    scene.succeed("gather[2]", "third")
    scene.succeed("gather[0]", "first")
    assert scene.outcome == ("done", {"result": ["first", "second", "third"]}, None)


def test_what_is_done_by_a_child_may_be_undone_by_one() -> None:
    undo = block("single", step("undo", ANOTHER, input={"of": "$last"}), name="@compensate")
    scene = Scene(block("sequential", step("call", ANOTHER, compensate=undo), step("after")))
    scene.succeed("call", {"n": 1})

    scene.fail("after", WRONG)

    assert [str(child.path) for child in dispatched(scene)] == ["call", "@compensate/undo"]
    scene.succeed("@compensate/undo", {})
    assert scene.outcome == ("error", None, WRONG)


def test_no_input_is_an_empty_one_for_a_task() -> None:
    scene = Scene(block("sequential", for_each([None], 1, step(ITEM, ANOTHER))))

    assert dispatched(scene)[0].input == {}


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ({"input": "text"}, "has to be an object, and this is a text"),
        ({"input": "$count"}, "has to be an object, and this is a number"),
        ({"input": "$broken"}, "cannot be evaluated"),
        ({"dispatch": Dispatch(concurrency=Concurrency("", 1))}, "a text or a number, and this is an empty text"),
        ({"dispatch": Dispatch(concurrency=Concurrency("$input", 1))}, "a text or a number, and this is a map"),
        ({"dispatch": Dispatch(concurrency=Concurrency("k" * 256, 1))}, "longer than 255 characters"),
        ({"dispatch": Dispatch(concurrency=Concurrency("$broken", 1))}, "cannot be evaluated"),
    ],
    ids=str,
)
def test_what_can_be_no_task_fails_the_step_and_not_the_turn(rest: dict[str, Any], words: str) -> None:
    scene = Scene(block("sequential", step("call", ANOTHER, **rest)))

    status, _, failure = scene.outcome
    assert status == "error"
    assert failure is not None
    assert (failure.code, failure.retryable) == (FailureCode.INVALID_INPUT, False)
    assert words in failure.message
    assert dispatched(scene) == []
