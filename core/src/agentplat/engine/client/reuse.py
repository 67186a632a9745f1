"""What a retry or a fork takes over from the journal of its source: pure, from a state to the events to begin with.

The new task's journal begins with them, so that its state, too, is nothing but a fold. What finished is one event with
its outcome; what has to run again is one event with its input; everything in between was the source's own business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from uuid_utils.compat import uuid7

from agentplat.domain.errors import ConflictError
from agentplat.domain.events import (
    BlockExpanded,
    BlockFinished,
    BlockStarted,
    Event,
    Recorded,
    SignalReceived,
    StepGivenUp,
    StepReopened,
    StepReused,
    TaskFinished,
    WaitStarted,
)
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.state import BlockState, Execution, Phase, State
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.domain.workflow import (
    COMPENSATE,
    AgentCall,
    Approval,
    Block,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)
from agentplat.engine.edits import Edits, is_below, refuse_misfits, refuse_undecided

_STANDING = (Phase.SUCCEEDED, Phase.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """The events that come after the new task's first one, and what they mean for each execution of the source."""

    events: Sequence[Event] = ()
    reused: Sequence[StepPath] = ()  # their outcome stands
    edited: Sequence[StepPath] = ()  # their output is the one that was given
    again: Sequence[StepPath] = ()  # they run once more
    undecided: Sequence[StepPath] = ()  # whether they run once more follows from what comes before them
    saved: Usage = NO_USAGE  # what the reused ones had used


def reused(source: State, journal: Sequence[Recorded], edits: Edits, newest: Workflow | None = None) -> Reused:
    """What is taken over from `source`, whose journal that is.

    With `newest` the new task is worked on by that version: ConflictError when a step whose outcome is to be reused is
    another one there. InputRejected when the edits do not fit the source.
    """
    refuse_misfits(source, edits)
    order = _Order(source, journal, edits)
    refuse_undecided(edits, order.undecided)
    fates = _Fates(source, edits, order, newest)
    if newest is not None:
        _refuse_changed(source, newest, fates)
    kept = fates.of("kept")
    return Reused(
        events=list(_events(source, journal, order, fates)),
        reused=kept,
        edited=list(edits.outputs),
        again=fates.of("again"),
        undecided=fates.of("undecided"),
        saved=Usage.total(source.executions[path].usage for path in kept),
    )


def begun(source: State) -> Sequence[StepPath]:
    """The executions that `source` has begun, without those of its end."""
    return [path for path in source.executions if not any(name.startswith("@") for name, *_ in path)]


class _Order:
    """When each execution and block of the source began and was over, and what was begun in the knowledge of a cut."""

    def __init__(self, source: State, journal: Sequence[Recorded], edits: Edits) -> None:
        self.started: dict[StepPath, int] = {}
        self.ended: dict[StepPath, int] = {}
        self.undone = _undone(source)
        self.cuts = [*edits.outputs, *self.undone, *([edits.start] if edits.start is not None else [])]
        for recorded in _until_the_end(journal):
            path = getattr(recorded.event, "path", None)
            if isinstance(path, StepPath) and (path in source.executions or path in source.blocks):
                self.started.setdefault(path, recorded.seq)
                self.ended[path] = recorded.seq
        for path in [path for path in self.ended if _child(source, path).phase.is_open]:
            del self.ended[path]
        self.given_up = {recorded.event.path for recorded in journal if isinstance(recorded.event, StepGivenUp)}
        self.undecided = {path for path in self.started if any(self._follows(source, path, cut) for cut in self.cuts)}

    def known_until(self, block: StepPath) -> int | None:
        """The number of the event up to which no strategy of `block` can have known of a cut; None: of all events."""
        below = [StepPath(cut[: len(block) + 1]) for cut in self.cuts if is_below(cut, block)]
        return min((self.ended[path] for path in below if path in self.ended), default=None)

    def _follows(self, source: State, path: StepPath, cut: StepPath) -> bool:
        """Whether `path` was begun by a strategy that may have known how `cut` ended.

        A block's strategy sees the outcomes of its own children only. So what counts is, where the two paths part,
        whether the one child began after the other was over.
        """
        depth = 0
        while depth < min(len(path), len(cut)) and path[depth] == cut[depth]:
            depth += 1
        if depth in (len(path), len(cut)) or _goes_through_items(source, StepPath(path[:depth])):
            return False
        child, other = StepPath(path[: depth + 1]), StepPath(cut[: depth + 1])
        return other in self.ended and self.started[child] > self.ended[other]


class _Fates:
    """What becomes of each execution and block."""

    def __init__(self, source: State, edits: Edits, order: _Order, newest: Workflow | None) -> None:
        self.source = source
        self.edits = edits
        # A retry tries again what a strategy went on without; a fork goes on from elsewhere, with what was known then.
        self._given_up = order.given_up if edits.start is not None or edits.outputs else set()
        self._undone = order.undone
        self._undecided = set(order.undecided)
        around = {path.parent for path in (*order.undecided, *order.cuts)}
        self._reopened = {StepPath(path[:depth]) for path in around for depth in range(len(path) + 1)}
        theirs = State(workflow=newest) if newest is not None else source
        for path in [path for path in source.executions if self.fate(path) == "again"]:
            if not self._can_be_reopened(path, theirs):
                _refuse_gap(source, path, self._undecided)
                self._undecided.add(path)

    def of(self, fate: str) -> list[StepPath]:
        """The executions of that fate."""
        return [path for path in self.source.executions if self.fate(path) == fate]

    def fate(self, path: StepPath) -> str:
        """`kept`, `edited`, `again`, `undecided`, or `hidden` below a block whose output is given."""
        if any(is_below(path, edited) for edited in self.edits.outputs) or self._is_of_an_end(path):
            return "hidden"
        start = self.edits.start
        restarted = (*self._undone, *((start,) if start is not None else ()))
        if path in self._undecided or any(is_below(path, block) for block in restarted if block in self.source.blocks):
            return "undecided"
        if path in self.edits.outputs:
            return "edited"
        if path in restarted or path in self._reopened:
            return "again"
        return "kept" if self._stands(path) else "again"

    def _is_of_an_end(self, path: StepPath) -> bool:
        """Whether it was done because a block failed or ended, which did not happen to the block that goes on."""
        for depth in range(len(path)):
            if path[depth][0].startswith("@"):  # the names of `catch`, `finally` and `compensate`
                return self.fate(StepPath(path[:depth])) == "again"
        return False

    def _stands(self, path: StepPath) -> bool:
        """Whether it is over for good: it succeeded, or something around it did, in spite of it."""
        if _child(self.source, path).phase in _STANDING or path in self._given_up:
            return True
        around = (StepPath(path[:depth]) for depth in reversed(range(len(path))))
        for block in around:
            if block in self._reopened:
                return False
            if self.source.blocks[block].phase is Phase.SUCCEEDED:
                return True
        return False

    def _can_be_reopened(self, path: StepPath, theirs: State) -> bool:
        """Whether its input is known, and still what its step would be given.

        A step that was skipped, or refused before it began, has none.
        """
        if path == self.edits.start and self.edits.input is not None:
            return True
        execution = self.source.executions[path]
        has_begun = execution.attempt > 0 or execution.phase is Phase.INTERRUPTED
        step = self.source.node(path)
        body = step.body if isinstance(step, Step) else None
        # What these wait for was evaluated, and is not known of one that was reused.
        keyed = isinstance(step, Step) and step.dispatch is not None and step.dispatch.concurrency is not None
        forgotten = (
            (isinstance(body, Approval) and execution.approval is None)
            or (isinstance(body, UntilWait) and execution.until is None)
            or (keyed and execution.concurrency_key is None)
        )
        return has_begun and not forgotten and _node(theirs, path) == step


def _refuse_gap(source: State, path: StepPath, undecided: Collection[StepPath]) -> None:
    """An execution is numbered by how many there were before, so none can be left out in the middle."""
    block = source.blocks[path.parent]
    later = [child for child in block.children if child.step == path.step and child.number > path.number]
    if any(child not in undecided for child in later):
        raise ConflictError(
            f"{str(path)!r} has no input that it could run again with, and {len(later)} later executions of that step "
            f"are to be reused. Begin earlier: `from` {str(path.parent)!r} runs its whole block again."
        )


def _events(source: State, journal: Sequence[Recorded], order: _Order, fates: _Fates) -> Iterator[Event]:
    signals = {signal.key for signal in source.signals}
    for recorded in _until_the_end(journal):
        event = recorded.event
        path = getattr(event, "path", None)
        if isinstance(event, SignalReceived):
            if event.key in signals:
                yield event
        elif not isinstance(path, StepPath):
            continue
        elif path in source.blocks:
            yield from _of_block(recorded, path, order, fates)
        elif path in source.executions:
            fate, execution = fates.fate(path), source.executions[path]
            if fate == "again" and recorded.seq == order.started[path]:
                yield _reopened(source, execution, fates.edits)
            elif fate in ("kept", "edited") and recorded.seq == order.ended.get(path, order.started[path]):
                yield _reused(execution, fate, fates.edits)
                if fate == "kept" and isinstance(event, StepGivenUp):
                    yield event


def _until_the_end(journal: Sequence[Recorded]) -> Iterator[Recorded]:
    """Whatever is said after the end changes nothing."""
    for recorded in journal:
        if isinstance(recorded.event, TaskFinished):
            return
        yield recorded


def _of_block(recorded: Recorded, path: StepPath, order: _Order, fates: _Fates) -> Iterator[Event]:
    event, fate, edits = recorded.event, fates.fate(path), fates.edits
    if isinstance(event, BlockStarted) and recorded.seq != order.started[path]:
        return
    if fate == "kept":
        yield event
    elif fate == "edited" and isinstance(event, BlockStarted):
        yield event
        yield BlockFinished(path=path, output=edits.outputs[path])
    elif fate == "again" and isinstance(event, BlockStarted):
        yield replace(event, input=edits.input) if path == edits.start and edits.input is not None else event
    elif fate == "again" and isinstance(event, BlockExpanded) and path not in (edits.start, *order.undone):
        until = order.known_until(path)
        if until is None or recorded.seq <= until:
            yield event


def _reused(execution: Execution, fate: str, edits: Edits) -> StepReused:
    is_edited = fate == "edited"
    return StepReused(
        path=execution.path,
        execution_id=execution.id,
        status="succeeded" if is_edited else execution.phase.value,
        attempt=execution.attempt,
        try_number=execution.try_number,
        input=execution.input,
        output=edits.outputs[execution.path] if is_edited else execution.output,
        failure=None if is_edited else execution.failure,
    )


def _reopened(source: State, execution: Execution, edits: Edits) -> Event:
    path, new_id = execution.path, ExecutionId(uuid7())
    step = source.node(path)
    if isinstance(step, Step) and isinstance(step.body, AgentCall | ToolCall | WorkflowCall):
        value = edits.input if path == edits.start and edits.input is not None else execution.input
        return StepReopened(path=path, execution_id=new_id, input=value, concurrency_key=execution.concurrency_key)
    # As its document says: what was left of the delay was the source's, and of one that was reused no more is known.
    body = step.body if isinstance(step, Step) else None
    delay = body.duration if isinstance(body, TimerWait) else None
    if isinstance(body, SignalWait | Approval):
        delay = body.timeout
    return WaitStarted(
        path=path,
        execution_id=new_id,
        signal=body.signal if isinstance(body, SignalWait) else None,
        delay=None if delay is None else delay.total_seconds(),
        until=execution.until,
        approval=execution.approval,
    )


def _undone(source: State) -> list[StepPath]:
    """What was made undone when the source failed: its outcome does not stand any more."""
    root = source.blocks.get(StepPath())
    count = root.started.get(COMPENSATE, 0) if root is not None else 0
    return [source.undoable[-number] for number in range(1, count + 1)]


def _goes_through_items(source: State, path: StepPath) -> bool:
    """Whether it is a block whose children are begun for items, whatever comes of the others."""
    node = source.node(path)
    return isinstance(node, Block) and node.foreach is not None


# --- what does not fit


def _refuse_changed(source: State, newest: Workflow, fates: _Fates) -> None:
    """ConflictError, with every step of which the newest version says something else than the outcome came from."""
    theirs = State(workflow=newest)
    changed = []
    for path in (*source.blocks, *source.executions):
        fate, before, after = fates.fate(path), source.node(path), _node(theirs, path)
        if fate in ("undecided", "hidden"):
            continue
        if isinstance(before, Block) and fate == "again":
            same = isinstance(after, Block) and after.strategy == before.strategy
        elif fate == "edited":
            same = after is not None
        else:
            same = before == after
        if not same or not _stands_where_it_stood(source, theirs, path):
            changed.append(str(path) or "the strategy of the workflow")
    if changed:
        raise ConflictError(
            f"The newest version of workflow {newest.name!r} changes what is to be reused: {', '.join(changed)}. Keep "
            "the task's own version, or begin earlier: `from` names the step from which on all runs again."
        )


def _stands_where_it_stood(source: State, theirs: State, path: StepPath) -> bool:
    """Whether the step has its place among its siblings: a strategy may go by the order."""
    if not path:
        return True
    ours, other = source.node(path.parent), _node(theirs, path.parent)
    if not isinstance(ours, Block) or not isinstance(other, Block) or path.step not in other.names:
        return False
    return ours.names.index(path.step) == other.names.index(path.step)


def _child(state: State, path: StepPath) -> Execution | BlockState:
    return state.executions.get(path) or state.blocks[path]


def _node(state: State, path: StepPath) -> Step | Block | None:
    try:
        return state.node(path)
    except KeyError:
        return None
