"""The laws of the interpreter, as a book-keeper of its own: it reads the journal as it grows and trusts nobody.

It knows the document and the events, and neither `evolve` nor `decide`. Whatever breaks a law raises LawBroken. That
`decide` is total and deterministic, and that a replay gives the same, is watched over by the simulation, which asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from agentplat.domain.errors import StepError
from agentplat.domain.events import (
    BlockCancelled,
    BlockExpanded,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
    CancelRequested,
    DeadlinePassed,
    Event,
    TaskClaimed,
    TaskFinished,
    TaskSubmitted,
)
from agentplat.domain.failure import FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.tree import build_steps
from agentplat.domain.workflow import Block
from agentplat_testkit.simulation.entries import OPEN, ROOT, BlockEntry, law
from agentplat_testkit.simulation.step_laws import Reader, StepLaws


class LawBook(StepLaws):
    """Shown every event, it raises LawBroken at the first that breaks a law. Subclasses say what strategies promise."""

    def check_output(self, block: BlockEntry) -> None:
        """What the strategy of a block promises of its output."""

    def check_failed_block(self, block: BlockEntry) -> None:
        """What the strategy of a block promises when it fails."""

    def check_waiting_block(self, block: BlockEntry) -> None:
        """What the strategy of a running block promises when nothing can be decided."""

    def begin_round(self) -> None:
        """What follows is decided now, and every expression in it evaluated: by what is settled now."""
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

    # --- Blocks -------------------------------------------------------------------------------------------------

    def _block_started(self, event: BlockStarted, at: datetime) -> None:
        if event.path == ROOT:
            law(not self.blocks, "the root block starts once")
            law(self.stop is None, "nothing starts in a stopped task")
            self.blocks[ROOT] = BlockEntry(ROOT, self.workflow.root, event.input)
            return
        block = self._adopt(event.path)
        law(isinstance(block, Block), "only blocks start as blocks")
        assert isinstance(block, Block)
        self._check_input(event.path, block, event.input)
        self.blocks[event.path] = BlockEntry(event.path, block, event.input)

    def _block_finished(self, event: BlockFinished, at: datetime) -> None:
        block = self._closing(event.path)
        law(self.stop is None, "no block finishes in a stopped task")
        law(block.doom is None or block.phase == "cancelling", "a block with a failed step does not finish")
        block.phase, block.output = "succeeded", event.output
        self.check_output(block)
        self._settle(event.path)

    def _block_failed(self, event: BlockFailed, at: datetime) -> None:
        block = self._closing(event.path)
        law(self.stop is None, "in a stopped task blocks are cancelled")
        if block.doom is not None and block.phase != "cancelling":
            law(event.failure == block.doom, "a block fails by the first step that failed for good")
        self.check_failed_block(block)
        block.phase, block.failure = "failed", event.failure
        self._doom(event.path, event.failure)

    def _block_stopping(self, event: BlockStopping, at: datetime) -> None:
        block = self.blocks[event.path]
        law(block.phase == "running", "a block begins to stop once")
        law(self.open_below(block), "a block with nothing open has nothing to stop")
        law(self.stop is None and block.doom is None, "a block that is on its way down needs no other reason")
        block.phase = "cancelling"

    def _block_cancelled(self, event: BlockCancelled, at: datetime) -> None:
        block = self._closing(event.path)
        stopped = self.stop is not None or (event.path != ROOT and self.is_stopping(event.path.parent))
        law(stopped, "a block is cancelled by what is around it")
        block.phase = "cancelled"

    def _block_expanded(self, event: BlockExpanded, at: datetime) -> None:
        block = self.blocks[event.path]
        law(block.phase == "running" and not self.is_stopping(event.path), "only what goes on is expanded")
        law(block.expansions < block.block.max_iterations, "a block is not expanded more often than it may")
        steps = build_steps(event.steps)
        law({step.name for step in steps}.isdisjoint(block.block.names), "a plan has names of its own")
        block.expansions, block.block = block.expansions + 1, block.block.with_steps(steps)

    def _closing(self, path: StepPath) -> BlockEntry:
        block = self.blocks[path]
        law(block.phase in ("running", "cancelling"), "a block closes once")
        law(not self.open_below(block), "a closed block has nothing open")
        return block

    # --- At rest ------------------------------------------------------------------------------------------------

    def check_at_rest(self) -> None:
        """When `decide` has nothing more to say, nothing that could be decided is left lying."""
        if self.finished is not None:
            return
        for entry in self.open_steps():
            stopping = self.is_stopping(entry.path.parent)
            law(entry.phase != "interrupted", "what was interrupted is started again, or settled")
            law(not (stopping and entry.phase == "running"), "where something stops every running step is told")
            law(not (stopping and entry.phase != "cancelling"), "where something stops nothing waits")
            law(entry.answer is None and not entry.fired, "what a step waited for is answered at once")
        for entry in self.open_steps("failed"):
            over = self.is_stopping(entry.path.parent) or self.blocks[entry.path.parent].phase not in OPEN
            law(over or not entry.may_retry, "a failure is tried again at once")
            seen = entry.path in self.blocks[entry.path.parent].settled
            law(over or seen, "a failure is shown at once to who wants to see it")
        for block in self.blocks.values():
            if block.phase in OPEN:
                law(self.open_below(block), "an open block has something open, or nothing would ever close it")
            if block.phase == "running" and not self.is_stopping(block.path):
                self.check_waiting_block(block)
        law(ROOT in self.blocks, "a task that is not finished has begun")

    READERS: ClassVar[Mapping[type, Reader]] = {
        **StepLaws.READERS,
        TaskSubmitted: _submitted,
        TaskClaimed: _claimed,
        CancelRequested: _stopped,
        DeadlinePassed: _stopped,
        TaskFinished: _finished,
        BlockStarted: _block_started,
        BlockFinished: _block_finished,
        BlockFailed: _block_failed,
        BlockStopping: _block_stopping,
        BlockCancelled: _block_cancelled,
        BlockExpanded: _block_expanded,
    }
