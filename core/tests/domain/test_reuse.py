"""What retries and forks take over from random histories of random workflows, and that they come to an end with it."""

from collections.abc import Iterator, Sequence

from agentplat_testkit.simulation.world import START
from hypothesis import assume, given
from hypothesis import strategies as st

from agentplat.domain.errors import ConflictError, InputRejected
from agentplat.domain.events import (
    ApprovalAnswered,
    ChildDispatched,
    Event,
    HistoryReused,
    Recorded,
    SignalReceived,
    StepCancelled,
    StepReopened,
    StepStarted,
    StepSucceeded,
    TaskSubmitted,
    TimerFired,
    WaitStarted,
)
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonValue
from agentplat.domain.state import Phase, State, evolve
from agentplat.domain.workflow import Concurrency, Dispatch, Workflow, WorkflowCall
from agentplat.engine.client.reuse import Reused, reused
from agentplat.engine.edits import Edits
from agentplat.engine.history import plan

from .histories import Simulation
from .profiles import tried
from .rules import FakeRules
from .scenes import WRONG, Scene, block, step
from .workflows import tapes, workflows

BY_HAND: JsonValue = {"score": 5, "by": "hand"}


def folded(workflow: Workflow, events: Sequence[Event]) -> tuple[State, list[Recorded]]:
    journal = [Recorded(seq=seq, at=START, event=event) for seq, event in enumerate(events, 1)]
    state = State(workflow=workflow)
    for recorded in journal:
        state = evolve(state, recorded.event, recorded.at)
    return state, journal


def gone_on(source: State, taken: Reused, edits: Edits) -> tuple[State, list[Event]]:
    """The new task, once it has ended, all going well; and what happened in it besides what was taken over."""
    first = TaskSubmitted(type=source.type, input=source.input)
    state, _ = folded(source.workflow, [first, HistoryReused(source="", source_seq=source.seq), *taken.events])
    check_taken(source, state, taken, edits)
    rules, happened = FakeRules(), list[Event]()
    for _ in range(500):
        state, events, _ = plan(state, rules)
        happened += events
        if state.finished is not None:
            return state, happened
        facts = list(luck(state))
        assert facts, "it waits for nothing"
        for fact in facts:
            state = evolve(state, fact, START)
        happened += facts
    raise AssertionError("it does not end")


def luck(state: State) -> Iterator[Event]:
    for path, execution in state.executions.items():
        if execution.phase in (Phase.RUNNING, Phase.DISPATCHED):
            yield StepSucceeded(path=path, attempt=execution.attempt, output={"score": 5})
        elif execution.phase in (Phase.CANCELLING, Phase.RECALLED):
            yield StepCancelled(path=path, attempt=execution.attempt)
        elif execution.phase is Phase.WAITING and execution.signal is not None:
            yield SignalReceived(name=execution.signal, payload={"score": 5}, key=str(path))
        elif execution.phase is Phase.WAITING and execution.approval is not None:
            yield ApprovalAnswered(path=path, approved=True, by=None, answers={}, key=str(path))
        elif execution.phase in (Phase.WAITING, Phase.BACKING_OFF):
            yield TimerFired(path=path)


def check_taken(source: State, state: State, taken: Reused, edits: Edits) -> None:
    groups = [set(taken.reused), set(taken.edited), set(taken.again), set(taken.undecided)]
    assert sum(map(len, groups)) == len(set().union(*groups)), "a step has one fate"
    for path in taken.reused:
        before, after = source.executions[path], state.executions[path]
        assert (after.phase, after.output, after.failure) == (before.phase, before.output, before.failure)
        assert after.reused
    for path in taken.again:
        assert state.executions[path].phase in (Phase.INTERRUPTED, Phase.WAITING)
        assert state.executions[path].concurrency_key == source.executions[path].concurrency_key
        edited = path == edits.start and edits.input is not None
        assert state.executions[path].input == (edits.input if edited else source.executions[path].input)
    for path in taken.undecided:
        assert path not in state.executions
    assert state.usage == State(workflow=source.workflow).usage


def check_nothing_repeated(taken: Reused, happened: Sequence[Event]) -> None:
    starts = StepStarted | ChildDispatched | WaitStarted | StepReopened
    begun = {event.path for event in happened if isinstance(event, starts)}
    assert not begun & set(taken.reused)
    assert not begun & set(taken.edited)


def history(workflow: Workflow, tape: bytes, cut: int) -> tuple[State, list[Recorded]]:
    """Of a task that ended; with a `cut`, of one that is under way."""
    events = Simulation(workflow, tape).run().journal
    return folded(workflow, events[: 1 + cut % len(events)] if cut else events)


@given(
    st.one_of(workflows(), workflows("ends"), workflows("waits"), workflows("crowds"), workflows("children")), tapes()
)
@tried(0.3)
def test_a_retry_reuses_what_finished_and_comes_to_an_end(workflow: Workflow, tape: bytes) -> None:
    source, journal = history(workflow, tape, 0)
    assert source.finished is not None
    assume(source.finished.status != "done")
    try:
        taken = reused(source, journal, Edits())
    except ConflictError:
        assume(False)
    _, happened = gone_on(source, taken, Edits())
    check_nothing_repeated(taken, happened)


@given(
    st.one_of(workflows(), workflows("ends"), workflows("waits"), workflows("crowds"), workflows("children")),
    tapes(),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.sampled_from(["start", "output", "input"]),
)
@tried(0.3)
def test_a_fork_of_any_step_at_any_time_comes_to_an_end(
    workflow: Workflow, tape: bytes, cut: int, which: int, how: str
) -> None:
    source, journal = history(workflow, tape, cut)
    begun = [path for path in (*source.executions, *source.blocks) if path]
    assume(begun)
    path: StepPath = begun[which % len(begun)]
    edits = Edits(outputs={path: BY_HAND}) if how == "output" else Edits(start=path)
    if how == "input":
        edits = Edits(start=path, input={"by": "hand"})
    try:
        taken = reused(source, journal, edits)
    except (ConflictError, InputRejected):
        assume(False)
    _, happened = gone_on(source, taken, edits)
    check_nothing_repeated(taken, happened)


KEYED = step("call", WorkflowCall("another"), dispatch=Dispatch(concurrency=Concurrency("$count", 1)))


def ended() -> tuple[State, list[Recorded]]:
    """A task of which a child with a key failed."""
    root = block("sequential", step("first"), KEYED)
    scene = Scene(root)
    scene.succeed("first")
    scene.fail("call", WRONG)
    return folded(Workflow(name="scene", root=root), scene.journal)


def test_a_child_that_runs_again_has_the_key_that_it_had() -> None:
    source, journal = ended()

    taken = reused(source, journal, Edits())

    again = [event for event in taken.events if isinstance(event, StepReopened)]
    assert [(str(event.path), event.concurrency_key) for event in again] == [("call", "1")]
    _, happened = gone_on(source, taken, Edits())
    assert [event.concurrency_key for event in happened if isinstance(event, ChildDispatched)] == ["1"]


def test_of_a_child_that_was_reused_no_key_is_known_so_that_its_strategy_decides_anew() -> None:
    root = block("sequential", step("first"), KEYED, step("last"))
    scene = Scene(root)
    scene.succeed("first")
    scene.succeed("call", {"n": 1})
    scene.fail("last", WRONG)
    workflow = Workflow(name="scene", root=root)
    first, journal = folded(workflow, scene.journal)
    retried = reused(first, journal, Edits())
    begun: list[Event] = [TaskSubmitted(type="workflow:scene", input={}), HistoryReused(source="", source_seq=1)]
    second, again = folded(workflow, [*begun, *retried.events])

    taken = reused(second, again, Edits(start=StepPath.parse("call")))

    assert StepPath.parse("call") in taken.undecided
    _, happened = gone_on(second, taken, Edits(start=StepPath.parse("call")))
    assert [event.concurrency_key for event in happened if isinstance(event, ChildDispatched)] == ["1"]
