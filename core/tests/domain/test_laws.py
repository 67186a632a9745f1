"""The laws of the interpreter over random workflows and random luck. The laws themselves are in the testkit."""

from agentplat_testkit.simulation.entries import law
from hypothesis import given

from agentplat.domain.events import CancelRequested, DeadlinePassed, SignalReceived, StepStarted, TaskClaimed
from agentplat.domain.workflow import COMPENSATE, FINALLY, Workflow

from .histories import Simulation
from .profiles import tried
from .workflows import tapes, workflows


@given(workflows(), tapes())
@tried()
def test_every_history_keeps_the_laws(workflow: Workflow, tape: bytes) -> None:
    Simulation(workflow, tape).run()


@given(workflows("waits"), tapes())
@tried(0.5)
def test_every_history_of_waits_keeps_the_laws(workflow: Workflow, tape: bytes) -> None:
    Simulation(workflow, tape).run()


@given(workflows("ends"), tapes())
@tried()
def test_every_history_of_failures_and_ends_keeps_the_laws(workflow: Workflow, tape: bytes) -> None:
    Simulation(workflow, tape).run()


@given(workflows("crowds"), tapes())
@tried(0.5)
def test_every_history_of_much_at_once_keeps_the_laws(workflow: Workflow, tape: bytes) -> None:
    Simulation(workflow, tape).run()


@given(workflows("children"), tapes())
@tried(0.5)
def test_every_history_of_children_keeps_the_laws(workflow: Workflow, tape: bytes) -> None:
    Simulation(workflow, tape).run()


@given(workflows("children"), tapes(50), tapes(12))
@tried(0.1)
def test_children_are_safe_from_a_cancel_and_a_crash_at_every_point(
    workflow: Workflow, tape: bytes, luck: bytes
) -> None:
    whole = Simulation(workflow, tape).run()

    for length in range(1, whole.length):
        for event in (CancelRequested(reason="now"), TaskClaimed(fence=7, worker="after the crash")):
            other = whole.fork(length, luck)
            other.record(event)
            other.live_on()
            other.check_end()


@given(workflows(), tapes(50), tapes(12))
@tried(0.2)
def test_cancel_is_safe_at_every_point(workflow: Workflow, tape: bytes, luck: bytes) -> None:
    whole = Simulation(workflow, tape).run()

    for length in range(1, whole.length):
        cancelled = whole.fork(length, luck)
        over = cancelled.is_over
        first = cancelled.laws.stop
        cancelled.record(CancelRequested(reason="now"))
        cancelled.live_on()

        finish = cancelled.laws.finished
        assert finish is not None
        after = [event for event in cancelled.journal[length:] if isinstance(event, StepStarted)]
        started = [event for event in after if not any(name in (FINALLY, COMPENSATE) for name, _ in event.path)]
        law(not started, "nothing starts after a cancel")
        law(over or isinstance(first, DeadlinePassed) or finish.status == "cancelled", "cancel means cancel")
        told = whole.laws.finished
        # A `finally` that is cut short is one that failed.
        assert told is not None
        same = finish.status == told.status or {finish.status, told.status} == {"done", "error"}
        law(not over or same, "what was over stays so")
        cancelled.check_end()


@given(workflows("ends"), tapes(50), tapes(12))
@tried(0.1)
def test_ends_are_safe_from_a_cancel_and_a_crash_at_every_point(workflow: Workflow, tape: bytes, luck: bytes) -> None:
    whole = Simulation(workflow, tape).run()

    for length in range(1, whole.length):
        for event in (CancelRequested(reason="now"), TaskClaimed(fence=7, worker="after the crash"), DeadlinePassed()):
            other = whole.fork(length, luck)
            other.record(event)
            other.live_on()
            other.check_end()


@given(workflows(), tapes(50), tapes(12))
@tried(0.1)
def test_a_deadline_is_safe_at_every_point(workflow: Workflow, tape: bytes, luck: bytes) -> None:
    whole = Simulation(workflow, tape).run()

    for length in range(1, whole.length):
        late = whole.fork(length, luck)
        over, first = late.is_over, late.laws.stop
        late.record(DeadlinePassed())
        late.live_on()

        finish = late.laws.finished
        assert finish is not None
        law(over or finish.status == ("cancelled" if isinstance(first, CancelRequested) else "error"), "time is up")


@given(workflows(), tapes(50), tapes(12))
@tried(0.2)
def test_after_a_crash_at_every_point_the_task_goes_on_and_repeats_no_outcome(
    workflow: Workflow, tape: bytes, luck: bytes
) -> None:
    whole = Simulation(workflow, tape).run()

    # Also where no crash can strike, amid what one commit holds.
    for length in range(1, whole.length):
        crashed = whole.fork(length, luck)
        crashed.record(TaskClaimed(fence=7, worker="after the crash"))
        crashed.live_on()
        crashed.check_end()


@given(workflows(), tapes(60))
@tried(0.3)
def test_crashes_alone_change_nothing_that_a_client_sees(workflow: Workflow, tape: bytes) -> None:
    calm = Simulation(workflow).run()
    stormy = Simulation(workflow, storms=tape).run()

    law(stormy.journal[-1] == calm.journal[-1], "a task that only crashed ends as one that did not")


@given(workflows("waits"), tapes(50))
@tried(0.1)
def test_a_signal_at_every_point_is_not_lost(workflow: Workflow, tape: bytes) -> None:
    whole = Simulation(workflow, tape).run()

    for length in range(1, whole.length):
        told = whole.fork(length)
        told.record(SignalReceived(name="approve", payload="yes", key="k"))
        told.live_on()  # the book of the laws knows which wait has to get it, or that it is left over
        told.check_end()
