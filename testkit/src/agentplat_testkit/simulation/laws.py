"""The laws of the interpreter, as a book-keeper of its own: it reads the journal as it grows and trusts nobody.

It knows the document and the events, and neither `evolve` nor `decide`. Whatever breaks a law raises LawBroken. That
`decide` is total and deterministic, and that a replay gives the same, is watched over by the simulation, which asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from agentplat.domain.errors import StepError
from agentplat.domain.events import CancelRequested, DeadlinePassed, Event, TaskClaimed, TaskFinished, TaskSubmitted
from agentplat.domain.failure import FailureCode
from agentplat_testkit.simulation.block_laws import BlockLaws
from agentplat_testkit.simulation.entries import OPEN, ROOT, BlockEntry, law
from agentplat_testkit.simulation.step_laws import Reader


class LawBook(BlockLaws):
    """Shown every event, it raises LawBroken at the first that breaks a law. Subclasses say what strategies promise."""

    def check_waiting_block(self, block: BlockEntry) -> None:
        """What the strategy of a running block promises when nothing can be decided."""

    def begin_round(self) -> None:
        """What follows is decided now, and every expression in it evaluated: by what is settled now."""
        self.heard = {signal.name: signal.payload for signal in self.signals}
        for block in self.blocks.values():
            block.seen = len(block.settled)

    def observe(self, event: Event, at: datetime) -> bool:
        """Whether the event counts. One that comes late, or again, does not, and has to change nothing."""
        if self.finished is not None:
            return False
        counts = self.READERS[type(event)](self, event, at)
        return counts is not False

    # --- The task -----------------------------------------------------------------------------------------------

    def _submitted(self, event: TaskSubmitted, at: datetime) -> None:
        self.input = event.input

    def _claimed(self, event: TaskClaimed, at: datetime) -> None:
        self.claims += 1
        for entry in self.open_steps("running", "cancelling"):
            entry.phase = "interrupted"

    def _stopped(self, event: CancelRequested | DeadlinePassed, at: datetime) -> bool:
        first = self.stop is None
        self.stop = self.stop or event
        return first

    def _finished(self, event: TaskFinished, at: datetime) -> None:
        law(not self.open_steps(), "a task finishes with nothing open")
        law(all(block.phase not in OPEN for block in self.blocks.values()), "a task finishes with no block open")
        root = self.blocks.get(ROOT)
        if root is None or root.phase == "cancelled":
            law(self.stop is not None, "a task that nobody stopped is not cancelled")
            cancelled = isinstance(self.stop, CancelRequested)
            code = FailureCode.CANCELLED if cancelled else FailureCode.TIMEOUT
            law(event.status == ("cancelled" if cancelled else "error"), "the first reason to stop wins")
            law(event.failure is not None and event.failure.code is code, "the failure names the reason to stop")
        elif root.phase == "failed":
            law((event.status, event.failure) == ("error", root.failure), "a task fails as its root block did")
        else:
            self._done(event, root)
        self.finished = event

    def _done(self, event: TaskFinished, root: BlockEntry) -> None:
        output = root.output
        if self.workflow.output is not None:
            last = max((path.number for path in root.settled), default=1)
            try:
                output = self.rules.evaluate(self.workflow.output, self.scope(root, last))
            except StepError as error:
                law((event.status, event.failure) == ("error", error.failure), "a broken output template is an error")
                return
        law(event.status == "done" and event.failure is None, "a task is done when its root block is")
        whole = output if isinstance(output, Mapping) else {} if output is None else {"result": output}
        law(event.output == whole, "a task's output is that of its root block, or its template")

    # --- At rest ------------------------------------------------------------------------------------------------

    def check_at_rest(self) -> None:
        """When `decide` has nothing more to say, nothing that could be decided is left lying."""
        if self.finished is not None:
            return
        for entry in self.open_steps():
            stopping = self.is_stopping(entry.path.parent)
            law(entry.phase != "interrupted", "what was interrupted is started again, or settled")
            told = entry.phase not in ("running", "dispatched")
            law(not stopping or told, "where something stops every running step, and every child, is told")
            law(not stopping or entry.phase in ("cancelling", "recalled"), "where something stops nothing waits")
            law(entry.answer is None and not entry.fired, "what a step waited for is answered at once")
        for entry in self.open_steps("failed"):
            over = self.is_stopping(entry.path.parent) or self.blocks[entry.path.parent].phase != "running"
            law(over or not entry.may_retry, "a failure is tried again at once")
            seen = entry.path in self.blocks[entry.path.parent].settled
            law(over or seen, "a failure is shown at once to who wants to see it")
        for block in self.blocks.values():
            if block.phase in OPEN:
                law(self.open_below(block), "an open block has something open, or nothing would ever close it")
            around = bool(block.path) and self.is_stopping(block.path.parent)
            unlimited = block.phase == "ending" and block.delay is None
            law(not (unlimited and (around or self.is_stopped(block.path))), "after a cancel there is a limit")
            if block.phase == "running" and not self.is_stopping(block.path):
                self.check_waiting_block(block)
        law(ROOT in self.blocks, "a task that is not finished has begun")

    READERS: ClassVar[Mapping[type, Reader]] = {
        **BlockLaws.READERS,
        TaskSubmitted: _submitted,
        TaskClaimed: _claimed,
        CancelRequested: _stopped,
        DeadlinePassed: _stopped,
        TaskFinished: _finished,
    }
