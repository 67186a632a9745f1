"""Single decisions of the interpreter, one sentence each. What holds for all of them is in `test_laws.py`."""

from collections.abc import Sequence
from datetime import timedelta

from agentplat.domain.commands import (
    CancelBlock,
    CancelStep,
    FailBlock,
    RefuseStep,
    ScheduleRetry,
    SettleStep,
    SkipStep,
    StartStep,
    StopBlock,
)
from agentplat.domain.events import (
    CancelRequested,
    DeadlinePassed,
    Event,
    SignalReceived,
    StepFailed,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskSubmitted,
    TimerFired,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter import as_object, decide
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.state import Phase, State, evolve
from agentplat.domain.workflow import SignalWait, TimerWait, ToolCall, single

from .rules import FakeRules
from .scenes import SLOW, WRONG, Scene, block, step

A, B, C = (StepPath.parse(name) for name in "abc")
SEQUENCE = block("sequential", step("a"), step("b"))
ALL = block("parallel", step("a"), step("b"), step("c"))
ANY = block("parallel", step("a"), step("b"), step("c"), options={"join": "any"})


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_lone_agent_takes_the_tasks_input_and_gives_its_output() -> None:
    scene = Scene(single("agent", "writer").root)
    assert scene.starts[0].input == {"topic": "bees"}

    scene.succeed("writer", {"text": "buzz"})

    assert scene.outcome == ("done", {"text": "buzz"}, None)


def test_a_start_says_what_to_run_and_for_how_long() -> None:
    scene = Scene(block("sequential", step("a", ToolCall("calculator"), timeout=timedelta(seconds=7))))

    expected = StartStep(
        path=A,
        body=ToolCall("calculator"),
        attempt=1,
        try_number=1,
        input={"topic": "bees"},
        timeout=timedelta(seconds=7),
    )
    assert scene.starts == [expected]


def test_steps_follow_each_other_each_once() -> None:
    scene = Scene(SEQUENCE)

    after_a = scene.succeed("a", 1)
    after_b = scene.succeed("b", 2)

    assert kinds(after_a) == ["StepStarted"]
    assert kinds(after_b) == ["BlockFinished", "TaskFinished"]
    assert [start.input for start in scene.starts] == [{"topic": "bees"}, {"previous": 1}]


def test_what_clients_read_is_an_object() -> None:
    assert [as_object(output) for output in ({"a": 1}, None, [1], "x", 0, False)] == [
        {"a": 1},
        {},
        {"result": [1]},
        {"result": "x"},
        {"result": 0},
        {"result": False},
    ]


def test_the_documents_output_stands_in_place_of_the_blocks() -> None:
    scene = Scene(block("sequential", step("a")), output={"n": "$count", "all": "$last"})

    scene.succeed("a", 5)

    last = {"of": "a", "output": 5, "status": "succeeded", "iteration": 1}
    assert scene.outcome == ("done", {"n": 1, "all": [last]}, None)


def test_a_documents_output_that_cannot_be_evaluated_is_an_error() -> None:
    scene = Scene(block("sequential", step("a")), output="$broken")

    scene.succeed("a", 5)

    assert scene.outcome == (
        "error",
        None,
        Failure(code=FailureCode.INVALID_INPUT, message="$broken cannot be evaluated"),
    )


def test_iterations_end_when_the_check_is_satisfied_or_at_the_last() -> None:
    loop = block("iterative_refinement", step("a"), step("b"), max_iterations=3, convergence_check="good")
    short, long = Scene(loop), Scene(loop)

    short.succeed("a")
    short.succeed("b", {"score": 5})
    for iteration in ("", "#2", "#3"):
        long.succeed(f"a{iteration}")
        long.succeed(f"b{iteration}", {"score": 1})

    assert short.outcome == ("done", {"iterations": 1, "last": {"score": 5}}, None)
    assert long.outcome == ("done", {"iterations": 3, "last": {"score": 1}}, None)


def test_until_stands_in_place_of_a_check_and_sees_the_block() -> None:
    scene = Scene(block("iterative_refinement", step("a"), max_iterations=9, convergence_check="good", until="first"))

    scene.succeed("a", {"score": 0})

    assert scene.outcome == ("done", {"iterations": 1, "last": {"score": 0}}, None)


def test_a_step_whose_condition_is_false_is_skipped_and_counts_as_settled() -> None:
    scene = Scene(block("sequential", step("a", when="no"), step("b")))

    assert SkipStep(path=A, reason="its condition is false: no") in scene.commands
    assert scene.running == ["b"]
    assert scene.block("").settled == (A,)


def test_a_whole_block_may_be_skipped_or_refused() -> None:
    skipped = Scene(block("sequential", block("sequential", step("b"), name="a", when="no"), step("c")))
    refused = Scene(block("sequential", block("sequential", step("b"), name="a", input="$broken"), step("c")))

    assert (skipped.running, skipped.execution("a").phase) == (["c"], Phase.SKIPPED)
    assert refused.outcome[0] == "error"
    assert not refused.starts


def test_a_step_that_is_refused_keeps_those_beside_it_from_starting() -> None:
    scene = Scene(block("parallel", step("a"), step("b", input="$broken"), step("c")))

    assert [type(command) for command in scene.commands[1:]][:2] == [RefuseStep, FailBlock]
    assert not scene.starts
    assert scene.outcome[0] == "error"


def test_a_failure_is_tried_again_after_a_delay_with_the_same_input() -> None:
    scene = Scene(SEQUENCE)

    busy = Failure(code=FailureCode.RATE_LIMITED, message="busy", retryable=True, retry_after=0.25)
    assert kinds(scene.fail("a", busy)) == ["RetryScheduled"]
    assert (
        ScheduleRetry(path=A, try_number=2, least=timedelta(seconds=0.25), most=timedelta(seconds=1)) in scene.commands
    )
    assert not scene.running

    scene.happens(TimerFired(path=A))
    assert [(start.attempt, start.try_number, start.input) for start in scene.starts] == [
        (1, 1, {"topic": "bees"}),
        (2, 2, {"topic": "bees"}),
    ]


def test_a_step_that_fails_for_good_fails_its_block_and_the_task() -> None:
    scene = Scene(block("sequential", block("sequential", step("a"), name="n"), step("b")))

    scene.fail("n/a", WRONG)

    assert scene.outcome == ("error", None, WRONG)
    assert (scene.block("n").phase, scene.block("").phase) == (Phase.FAILED, Phase.FAILED)


def test_no_more_tries_are_made_than_the_policy_allows_however_often_it_crashes() -> None:
    scene = Scene(block("sequential", step("a", retry=RetryPolicy(max_attempts=2))))

    scene.crash()
    scene.fail("a")
    scene.crash()
    scene.happens(TimerFired(path=A))
    scene.crash()
    scene.fail("a")

    assert [(start.attempt, start.try_number) for start in scene.starts] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert scene.outcome == ("error", None, SLOW)


def test_a_wait_that_timed_out_is_not_tried_again() -> None:
    policy = RetryPolicy(on=frozenset({"timeout", "permanent"}))
    scene = Scene(block("sequential", step("a", SignalWait("approve", timedelta(seconds=1)), retry=policy)))

    scene.happens(TimerFired(path=A))

    failure = Failure(code=FailureCode.TIMEOUT, message="The signal 'approve' did not come in time.")
    assert scene.outcome == ("error", None, failure)


def test_a_timer_ends_with_an_empty_output_and_a_signal_with_its_payload() -> None:
    timer = Scene(block("sequential", step("a", TimerWait(timedelta(days=1)))))
    signal = Scene(block("sequential", step("a", SignalWait("approve"))))

    timer.happens(TimerFired(path=A))
    signal.happens(SignalReceived(name="approve", payload=[1, 2], key="k"))

    assert timer.outcome == ("done", {}, None)
    assert signal.outcome == ("done", {"result": [1, 2]}, None)


def test_the_first_failure_ends_the_siblings_and_stays_the_reason() -> None:
    scene = Scene(ALL)

    scene.fail("b", WRONG)
    assert (scene.running, scene.cancelling) == ([], ["a", "c"])

    scene.fail("a", Failure(code=FailureCode.AGENT_FAILED, message="broke while it was told to end"))
    scene.cancelled("c")
    assert scene.outcome == ("error", None, WRONG)


def test_a_sibling_that_failed_before_and_again_after_does_not_become_the_reason() -> None:
    scene = Scene(ALL)

    scene.fail("a", SLOW)
    scene.happens(TimerFired(path=A))
    scene.fail("b", WRONG)
    scene.fail("a", Failure(code=FailureCode.AGENT_FAILED, message="late"))
    scene.cancelled("c")

    assert scene.outcome == ("error", None, WRONG)


def test_a_failed_block_ends_what_is_nested_in_it_before_it_closes() -> None:
    inner = block("parallel", step("a"), step("b", TimerWait(timedelta(hours=1))), name="n")
    scene = Scene(block("parallel", inner, step("c")))

    scene.fail("c", WRONG)
    assert scene.cancelling == ["n/a"]
    assert scene.execution("n/b").phase is Phase.CANCELLED

    scene.cancelled("n/a")
    assert scene.block("n").phase is Phase.CANCELLED
    assert scene.outcome == ("error", None, WRONG)


def test_a_join_of_any_ends_the_rest_and_keeps_its_winner() -> None:
    scene = Scene(ANY)

    scene.succeed("b", "first")
    assert (scene.block("").phase, scene.cancelling) == (Phase.CANCELLING, ["a", "c"])
    assert StopBlock(path=StepPath()) in scene.commands

    scene.succeed("a", "second")
    scene.fail("c", WRONG)
    assert scene.outcome == ("done", {"result": "first"}, None)


def test_an_eager_strategy_is_asked_while_steps_run() -> None:
    scene = Scene(block("window", step("a"), step("b"), step("c")))
    assert scene.running == ["a", "b"]

    scene.succeed("b")

    assert scene.running == ["a", "c"]


def test_a_step_may_be_started_several_times_at_once() -> None:
    salts = (Scene(block("lottery", step("a"), step("b"), options={"salt": salt})) for salt in range(99))
    scene = next(scene for scene in salts if scene.running == ["a", "a#2"])

    scene.succeed("a#2")
    assert scene.running == ["a"]
    assert scene.block("").settled == (StepPath.parse("a#2"),)


def test_nothing_begins_beside_a_block_that_stops() -> None:
    inner = block("sequential", step("x"), step("y"), name="n")
    scene = Scene(block("parallel", step("a"), inner, options={"join": "any"}))

    # Both at once: the outcome that ends the block, and one that would start the next step in it.
    inside = StepPath.parse("n/x")
    scene.happens(StepSucceeded(path=A, attempt=1, output=1), StepSucceeded(path=inside, attempt=1, output=2))

    assert [str(start.path) for start in scene.starts] == ["a", "n/x"]
    assert scene.outcome == ("done", {"result": 1}, None)


def test_nothing_begins_beside_a_block_that_fails() -> None:
    inner = block("sequential", step("x"), name="n")
    scene = Scene(block("window", inner, step("a"), step("b")))

    inside = StepPath.parse("n/x")
    scene.happens(StepFailed(path=inside, attempt=1, failure=WRONG), StepSucceeded(path=A, attempt=1, output=1))

    assert [str(start.path) for start in scene.starts] == ["a", "n/x"]
    assert scene.outcome == ("error", None, WRONG)


def test_a_task_that_is_cancelled_before_it_began_starts_nothing() -> None:
    state = State(workflow=single("agent", "writer"))
    for event in (TaskSubmitted(type="t", input={}), CancelRequested(reason="typo")):
        state = evolve(state, event)

    (finish,) = decide(state, FakeRules())

    assert "FinishTask(status='cancelled'" in repr(finish)
    assert "The task was cancelled: typo" in repr(finish)


def test_cancel_ends_bodies_and_waits_and_then_the_task() -> None:
    scene = Scene(block("parallel", step("a"), step("b", SignalWait("approve")), step("c")))
    scene.fail("c")

    scene.happens(CancelRequested(reason="enough"))
    ends = [command for command in scene.commands if isinstance(command, CancelStep | SettleStep)]
    assert ends == [
        CancelStep(path=A),
        SettleStep(path=B, attempt=1, cancelled=True),
        SettleStep(path=C, attempt=1, cancelled=True),
    ]

    assert kinds(scene.cancelled("a")) == ["BlockCancelled", "TaskFinished"]
    failure = Failure(code=FailureCode.CANCELLED, message="The task was cancelled: enough")
    assert scene.outcome == ("cancelled", None, failure)


def test_a_cancel_that_comes_while_a_failed_block_winds_down_is_obeyed() -> None:
    scene = Scene(ALL)
    scene.fail("a", WRONG)

    scene.happens(CancelRequested(reason="enough"))
    scene.cancelled("b")
    scene.cancelled("c")

    assert scene.outcome[0] == "cancelled"
    assert isinstance(next(c for c in reversed(scene.commands) if isinstance(c, CancelBlock)), CancelBlock)


def test_a_task_out_of_time_is_an_error_even_if_it_is_cancelled_then() -> None:
    scene = Scene(SEQUENCE)

    scene.happens(DeadlinePassed())
    scene.happens(CancelRequested(reason="too late"))
    scene.cancelled("a")

    failure = Failure(code=FailureCode.TIMEOUT, message="The task took longer than its workflow allows.")
    assert scene.outcome == ("error", None, failure)


def test_a_crash_starts_again_what_ran_and_nothing_else() -> None:
    scene = Scene(ALL)
    scene.succeed("a", 1)
    scene.fail("b")

    after = scene.crash()

    assert [(event.path, event.attempt) for event in after if isinstance(event, StepStarted)] == [(C, 2)]
    assert [scene.execution(name).phase for name in "abc"] == ["succeeded", "backing_off", "running"]


def test_a_step_that_was_told_to_end_is_not_started_again_after_a_crash() -> None:
    scene = Scene(ANY)
    scene.succeed("a", 1)

    scene.crash()

    assert scene.outcome == ("done", {"result": 1}, None)
    assert len(scene.starts) == 3


def test_a_finished_task_wants_nothing() -> None:
    scene = Scene(block("sequential", step("a")))
    scene.succeed("a")

    assert scene.happens(TaskClaimed(fence=9, worker="late"), CancelRequested(reason="late")) == []
