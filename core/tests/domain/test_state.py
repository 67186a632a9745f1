"""What single events make of the state. The laws say it for all histories; here it is said for one each."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from agentplat_testkit.simulation.world import START

from agentplat.domain.events import (
    BlockCancelled,
    BlockFailed,
    BlockFinished,
    BlockStopping,
    CancelRequested,
    DeadlinePassed,
    Event,
    RetryScheduled,
    SignalReceived,
    StepCancelled,
    StepCancelRequested,
    StepFailed,
    StepSucceeded,
    TaskClaimed,
    TaskSubmitted,
    TimerFired,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.state import Phase, State, evolve
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import SignalWait, Step, TimerWait, single

from .scenes import SLOW, WRONG, Scene, block, step

A, B = StepPath.parse("a"), StepPath.parse("b")
ONE = block("sequential", step("a"))
TWO = block("parallel", step("a"), step("b"))
APPROVAL = block("sequential", step("a", SignalWait("approve", timedelta(minutes=1))))


def changes(state: State, event: Event) -> bool:
    after = evolve(state, event)
    assert after.seq == state.seq + 1
    return replace(after, seq=state.seq) != state


def test_a_task_begins_with_nothing() -> None:
    state = State(workflow=single("agent", "writer"))

    assert (state.seq, dict(state.blocks), dict(state.executions), state.stop, state.finished) == (
        0,
        {},
        {},
        None,
        None,
    )
    assert state.usage == Usage()


def test_every_event_has_its_number_also_one_that_changes_nothing() -> None:
    scene = Scene(ONE)

    assert scene.state.seq == len(scene.journal)
    assert not changes(scene.state, StepSucceeded(path=StepPath.parse("nobody"), attempt=1, output=1))


@pytest.mark.parametrize(
    "report",
    [
        StepSucceeded(path=A, attempt=1, output="late"),
        StepFailed(path=A, attempt=1, failure=SLOW, usage=Usage(cost=5)),
    ],
)
def test_a_repeated_report_of_the_failed_attempt_changes_nothing_while_it_backs_off(report: Event) -> None:
    scene = Scene(ONE)
    scene.fail("a")
    assert scene.execution("a").phase is Phase.BACKING_OFF

    assert not changes(scene.state, report)


def test_a_report_of_an_attempt_whose_owner_was_lost_changes_nothing() -> None:
    scene = Scene(ONE)
    interrupted = evolve(scene.state, TaskClaimed(fence=2, worker="w2"))
    assert interrupted.executions[A].phase is Phase.INTERRUPTED
    assert not interrupted.is_under_way

    assert not changes(interrupted, StepSucceeded(path=A, attempt=1, output="late"))

    scene.crash()
    assert scene.execution("a").attempt == 2
    assert not changes(scene.state, StepSucceeded(path=A, attempt=1, output="late"))
    assert changes(scene.state, StepSucceeded(path=A, attempt=2, output="in time"))


def test_nothing_changes_an_outcome() -> None:
    scene = Scene(TWO)
    scene.succeed("a", 1)

    reports: list[Any] = [
        StepSucceeded(path=A, attempt=1, output=2),
        StepFailed(path=A, attempt=1, failure=WRONG),
        StepCancelled(path=A, attempt=1),
        StepCancelRequested(path=A),
        TimerFired(path=A),
        RetryScheduled(path=A, try_number=2, delay=0.0),
    ]
    assert not [report for report in reports if changes(scene.state, report)]


def test_a_step_that_is_told_to_end_may_still_succeed() -> None:
    scene = Scene(block("parallel", step("a"), step("b"), options={"join": "any"}))
    scene.succeed("a", 1)
    assert scene.execution("b").phase is Phase.CANCELLING

    scene.succeed("b", 2)

    assert (scene.execution("b").phase, scene.execution("b").output) == (Phase.SUCCEEDED, 2)
    assert scene.outcome == ("done", {"result": 1}, None)


def test_a_body_that_ends_as_cancelled_though_nobody_asked_has_failed() -> None:
    scene = Scene(ONE)

    scene.cancelled("a")

    message = "The step ended as cancelled, though nothing had asked it to."
    assert scene.outcome == ("error", None, Failure(code=FailureCode.CANCELLED, message=message))


def test_usage_is_summed_over_attempts_and_steps() -> None:
    scene = Scene(TWO)

    scene.fail("a", usage=Usage(model="p:m", input_tokens=3, output_tokens=1, cost=30))
    scene.happens(TimerFired(path=A))
    scene.succeed("a", usage=Usage(model="p:m", input_tokens=4, output_tokens=1, cost=40))
    scene.succeed("b", usage=Usage(model="p:n", input_tokens=5, output_tokens=1, cost=None))

    assert scene.execution("a").usage == Usage(model="p:m", input_tokens=7, output_tokens=2, cost=70)
    assert scene.state.usage == Usage(model="p:n", input_tokens=12, output_tokens=3, cost=None)


def test_an_execution_keeps_the_id_of_its_first_attempt() -> None:
    scene = Scene(ONE)
    first = scene.execution("a").id

    scene.crash()

    assert (scene.execution("a").id, scene.execution("a").attempt) == (first, 2)


def test_a_wait_knows_since_when_and_for_how_long() -> None:
    scene = Scene(block("sequential", step("a", TimerWait(timedelta(seconds=90)))))
    wait = scene.execution("a")

    assert (wait.phase, wait.signal, wait.delay) == (Phase.WAITING, None, 90.0)
    assert wait.updated_at == wait.started_at
    assert not scene.state.is_under_way


def test_a_signal_that_comes_before_its_wait_is_not_lost() -> None:
    signal = SignalReceived(name="approve", payload={"by": "ann"}, key="k1")
    scene = Scene(block("sequential", step("b"), *APPROVAL.steps))

    scene.happens(signal)
    assert list(scene.state.signals) == [signal]

    scene.succeed("b")
    assert not scene.state.signals
    assert scene.outcome == ("done", {"by": "ann"}, None)


def test_of_a_signal_and_its_timeout_the_first_one_wins() -> None:
    signal = SignalReceived(name="approve", payload={"by": "ann"}, key="k1")
    in_time, late = Scene(APPROVAL), Scene(APPROVAL)

    in_time.happens(signal, TimerFired(path=A))
    late.happens(TimerFired(path=A), signal)

    assert in_time.outcome == ("done", {"by": "ann"}, None)
    assert late.outcome[0] == "error"
    assert late.execution("a").failure == late.outcome[2]
    assert late.state.signals == (signal,)


def test_a_signal_answers_the_wait_that_began_first_and_no_other() -> None:
    scene = Scene(block("parallel", step("a", SignalWait("approve")), step("b", SignalWait("approve"))))

    scene.happens(SignalReceived(name="approve", payload=1, key="k1"))

    assert [scene.execution(name).phase for name in "ab"] == [Phase.SUCCEEDED, Phase.WAITING]


def test_a_timer_means_nothing_to_a_wait_without_one() -> None:
    scene = Scene(block("sequential", step("a", SignalWait("approve"))))

    assert not changes(scene.state, TimerFired(path=A))


def test_the_first_reason_to_stop_wins() -> None:
    cancel, deadline = CancelRequested(reason="enough"), DeadlinePassed()

    assert Scene(ONE).state.stop is None
    assert evolve(evolve(Scene(ONE).state, cancel), deadline).stop == cancel
    assert evolve(evolve(Scene(ONE).state, deadline), cancel).stop == deadline


def test_a_finished_task_changes_no_more() -> None:
    scene = Scene(ONE)
    scene.succeed("a", {"text": "done"})

    events: list[Any] = [*scene.journal, CancelRequested(reason="late"), BlockFinished(path=StepPath(), output=2)]
    assert not [event for event in events if changes(scene.state, event)]


def test_a_closed_block_changes_no_more() -> None:
    scene = Scene(block("sequential", block("sequential", step("b"), name="a"), step("c")))
    scene.succeed("a/b", 1)

    events: list[Any] = [
        BlockFinished(path=A, output=2),
        BlockFailed(path=A, failure=WRONG),
        BlockStopping(path=A),
        BlockCancelled(path=A),
        BlockCancelled(path=B),
    ]
    assert not [event for event in events if changes(scene.state, event)]


def test_the_task_keeps_what_was_submitted_and_when() -> None:
    state = evolve(State(workflow=single("agent", "writer")), TaskSubmitted(type="agent:writer", input={"n": 1}), START)

    assert (state.type, state.input, state.submitted_at) == ("agent:writer", {"n": 1}, START)


def test_a_path_that_leads_nowhere_names_no_node() -> None:
    state = Scene(block("sequential", block("single", step("b"), name="a"))).state

    node = state.node(StepPath.parse("a/b#3"))
    assert isinstance(node, Step)
    assert node.name == "b"
    with pytest.raises(KeyError, match="has no step 'c'"):
        state.node(StepPath.parse("a/c"))
    with pytest.raises(KeyError, match="leads through a step"):
        state.node(StepPath.parse("a/b/c"))


def test_phases_are_open_or_closed_and_few_have_a_body() -> None:
    assert {"succeeded", "skipped", "failed", "cancelled"} == {phase.value for phase in Phase if not phase.is_open}
    assert {"running", "cancelling"} == {phase.value for phase in Phase if phase.has_body}
