"""The laws of blocks: how they begin, deal with failures, and end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from agentplat.domain.events import (
    BlockCancelled,
    BlockCaught,
    BlockEnding,
    BlockExpanded,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
)
from agentplat.domain.failure import FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.tree import build_steps
from agentplat.domain.workflow import CATCH, COMPENSATE, FINALLY, ITEM, Block, ForEach, Step
from agentplat_testkit.simulation.entries import ROOT, BlockEntry, law
from agentplat_testkit.simulation.step_laws import Reader, StepLaws


class BlockLaws(StepLaws):
    """As StepLaws. Subclasses say what strategies promise."""

    def check_output(self, block: BlockEntry) -> None:
        """What the strategy of a block promises of its output."""

    def check_failed_block(self, block: BlockEntry) -> None:
        """What the strategy of a block promises when it fails."""

    def _block_started(self, event: BlockStarted, at: datetime) -> None:
        if event.path == ROOT:
            law(not self.blocks, "the root block starts once")
            law(self.stop is None, "nothing starts in a stopped task")
            self.blocks[ROOT] = BlockEntry(ROOT, self.workflow.root, event.input)
            return
        if event.path.step.startswith("@"):
            self._begin_handler(event)
            return
        block = self._adopt(event.path)
        law(isinstance(block, Block), "only blocks start as blocks")
        assert isinstance(block, Block)
        if block.foreach is None:
            self._check_input(event.path, block, event.input)
        else:
            items = self.rules.evaluate(block.foreach.items, self.scope(self.blocks[event.path.parent], 1))
            law(event.input == items, "a foreach keeps its items")
        limit = None if block.timeout is None else block.timeout.total_seconds()
        law(event.delay == limit, "a block has the time that the document gives it")
        self.blocks[event.path] = BlockEntry(event.path, block, event.input, delay=event.delay)

    def _begin_handler(self, event: BlockStarted) -> None:
        """What deals with a failure or an end begins at its time, and once."""
        path, parent, name = event.path, self.blocks[event.path.parent], event.path.step
        law(path not in self.blocks, "what deals with a failure or an end begins once")
        law(not self.open_below(parent), "nothing else is open then")
        if name.startswith(CATCH):
            clause = parent.block.catch[parent.clause - 1]
            law(parent.phase == "catching" and name == clause.block.name, "the clause deals with it that was chosen")
            law(not self.is_stopping(parent.path), "nothing is caught where something stops")
            block = clause.block
        elif name == COMPENSATE:
            law(parent.path == ROOT and parent.phase == "ending", "the task undoes, at its end")
            law(parent.ending != "succeeded" and not parent.fired, "what is done stays done if all is well")
            law(path.number == parent.undone + 1, "it is undone one by one, the last one first")
            law(FINALLY not in [child.step for child in parent.children], "undoing comes before `finally`")
            undone = self._node(self.undoable[-path.number])
            assert undone.compensate is not None
            parent.undone, block = path.number, undone.compensate
            of = self.steps.get(self.undoable[-path.number]) or self.blocks[self.undoable[-path.number]]
            law(event.input == {"input": of.input, "output": of.output}, "what undoes gets what it is to undo")
        else:
            law(parent.phase == "ending" and parent.block.final is not None, "`finally` is for the end")
            law(not parent.fired, "what is late is not begun")
            all_undone = parent.path != ROOT or parent.ending == "succeeded" or parent.undone == len(self.undoable)
            law(all_undone, "all is undone before `finally`")
            assert parent.block.final is not None
            block = parent.block.final
        parent.children.append(path)
        self.blocks[path] = BlockEntry(path, block, event.input)

    def _node(self, path: StepPath) -> Step | Block:
        return self.steps[path].step if path in self.steps else self.blocks[path].block

    def _block_caught(self, event: BlockCaught, at: datetime) -> None:
        block = self._closing(event.path, "running", "cancelling")
        around = event.path and self.is_stopping(event.path.parent)
        law(not around and not self.is_stopped(event.path), "nothing is caught where something stops")
        late = block.fired and event.failure.code is FailureCode.TIMEOUT
        law(block.phase == "cancelling" or block.doom in (None, event.failure) or late, "what is caught is the failure")
        taken = [number for number, clause in enumerate(block.block.catch, 1) if clause.takes(event.failure)]
        law(taken[:1] == [event.clause], "the first clause that is for it takes a failure")
        block.phase, block.clause, block.failure = "catching", event.clause, event.failure
        block.doom, block.fired, block.delay = None, False, None

    def _block_ending(self, event: BlockEnding, at: datetime) -> None:
        if self.blocks[event.path].phase == "ending":
            block = self.blocks[event.path]
            said = (event.status, event.output, event.failure)
            law(said == (block.ending, block.output, block.failure), "how a block ends does not change any more")
            law(block.delay is None and event.delay is not None, "an end gets a limit once")
            stops = self.is_stopped(event.path) or (event.path and self.is_stopping(event.path.parent))
            law(stops, "an end gets a limit by a stop")
            block.delay = event.delay
            return
        block = self._closing(event.path, "running", "cancelling", "catching")
        undoes = event.path == ROOT and event.status != "succeeded" and self.undoable
        law(block.block.final is not None or undoes, "only what has something to do before its end ends slowly")
        getattr(self, f"_may_{event.status}")(block, event)
        law((event.status == "cancelled") == (event.delay is not None), "after a cancel there is a limit")
        block.phase, block.ending, block.output, block.failure = "ending", event.status, event.output, event.failure
        block.doom, block.fired, block.delay = None, False, event.delay

    def _block_finished(self, event: BlockFinished, at: datetime) -> None:
        block = self._closing(event.path)
        if block.phase == "ending":
            law(block.ending == "succeeded" and block.output == event.output, "a block ends as it was going to")
            final = self.blocks.get(event.path.child(FINALLY, 1))
            law(final is not None and final.phase == "succeeded", "`finally` comes before the end")
        else:
            law(block.block.final is None, "`finally` comes before the end")
            self._may_succeeded(block, event)
        block.phase, block.output, block.failure = "succeeded", event.output, None
        self._settle(event.path)
        self._note_undoable(event.path, block.block)

    def _may_succeeded(self, block: BlockEntry, event: BlockFinished | BlockEnding) -> None:
        law(not self.is_stopped(event.path), "no block finishes in a stopped task")
        law(block.doom is None or block.phase == "cancelling", "a block with a failed step does not finish")
        if block.phase == "catching":
            handler = self.blocks[event.path.child(block.block.catch[block.clause - 1].block.name, 1)]
            law(handler.phase == "succeeded" and event.output == handler.output, "what was caught gives the output")
            return
        block.output = event.output
        if block.block.foreach is not None:
            self._check_items(block, block.block.foreach)
        else:
            self.check_output(block)

    def _block_failed(self, event: BlockFailed, at: datetime) -> None:
        block = self._closing(event.path)
        if block.phase == "ending":
            self._check_failed_end(block, event)
        else:
            undoes = event.path == ROOT and self.undoable
            law(block.block.final is None and not undoes, "undoing and `finally` come before the end")
            self._may_failed(block, event)
        block.phase, block.failure = "failed", event.failure
        self._doom(event.path, event.failure)

    def _check_failed_end(self, block: BlockEntry, event: BlockFailed) -> None:
        final = self.blocks.get(event.path.child(FINALLY, 1))
        law(block.block.final is None or final is not None or block.fired, "`finally` comes before the end")
        if block.ending == "succeeded":
            law(final is None or final.phase in ("failed", "cancelled"), "only a `finally` that fails changes an end")
            return
        law(block.ending == "failed" and block.failure is not None, "a block ends as it was going to")
        assert block.failure is not None
        law(replace(event.failure, details=block.failure.details) == block.failure, "a failure stays what it was")
        left = [path for number, path in enumerate(reversed(self.undoable), 1) if not self._is_undone(block, number)]
        told = event.failure.details.get("not_undone", [])
        law(told == ([str(path) for path in left] if not block.path else []), "what could not be undone is said")

    def _is_undone(self, block: BlockEntry, number: int) -> bool:
        undo = self.blocks.get(block.path.child(COMPENSATE, number))
        return undo is not None and undo.phase == "succeeded"

    def _may_failed(self, block: BlockEntry, event: BlockFailed | BlockEnding) -> None:
        law(not self.is_stopped(event.path), "in a stopped task blocks are cancelled")
        failure = event.failure
        assert failure is not None
        if block.phase == "catching":
            handler = self.blocks[event.path.child(block.block.catch[block.clause - 1].block.name, 1)]
            law(handler.phase == "failed" and failure == handler.failure, "a catch that fails fails its block")
            return
        around_stops = bool(event.path) and self.is_stopping(event.path.parent)
        caught = any(clause.takes(failure) for clause in block.block.catch)
        law(around_stops or not caught, "a failure that a clause takes fails no block")
        late = block.fired and failure.code is FailureCode.TIMEOUT
        if block.doom is not None and block.phase != "cancelling":
            law(failure == block.doom or late, "a block fails by the first step that failed for good")
        self.check_failed_block(block)

    def _block_stopping(self, event: BlockStopping, at: datetime) -> None:
        block = self.blocks[event.path]
        law(block.phase == "running", "a block begins to stop once")
        law(self.open_below(block), "a block with nothing open has nothing to stop")
        # What is around it may have begun to stop in the same breath.
        known = block.doom is not None or block.fired or self.is_stopped(event.path)
        law(not known, "a block that is on its way down needs no other reason")
        block.phase = "cancelling"

    def _block_cancelled(self, event: BlockCancelled, at: datetime) -> None:
        block = self._closing(event.path)
        if block.phase == "ending":
            law(block.ending == "cancelled", "a block ends as it was going to")
            final = self.blocks.get(event.path.child(FINALLY, 1))
            law(block.block.final is None or final is not None or block.fired, "`finally` comes before the end")
        else:
            undoes = event.path == ROOT and self.undoable
            law(block.block.final is None and not undoes, "undoing and `finally` come before the end")
            self._may_cancelled(block, event)
        block.phase = "cancelled"

    def _may_cancelled(self, block: BlockEntry, event: BlockCancelled | BlockEnding) -> None:
        stopped = self.is_stopped(event.path) or (event.path != ROOT and self.is_stopping(event.path.parent))
        law(stopped, "a block is cancelled by what is around it")

    def _block_expanded(self, event: BlockExpanded, at: datetime) -> None:
        block = self.blocks[event.path]
        law(block.phase == "running" and not self.is_stopping(event.path), "only what goes on is expanded")
        law(block.expansions < block.block.max_iterations, "a block is not expanded more often than it may")
        steps = build_steps(event.steps)
        law({step.name for step in steps}.isdisjoint(block.block.names), "a plan has names of its own")
        block.expansions, block.block = block.expansions + 1, block.block.with_steps(steps)

    def _closing(self, path: StepPath, *phases: str) -> BlockEntry:
        block = self.blocks[path]
        law(block.phase in (phases or ("running", "cancelling", "catching", "ending")), "a block closes once")
        law(not self.open_below(block), "a closed block has nothing open")
        return block

    def _check_items(self, block: BlockEntry, foreach: ForEach) -> None:
        assert isinstance(block.input, list)
        outputs = {path.number: (self.steps.get(path) or self.blocks[path]).output for path in block.settled}
        good = {path.number: outputs[path.number] for path in block.settled if self.phase_of(path) == "succeeded"}
        in_order = [good[number] for number in sorted(good)]
        match foreach.join:
            case "all":
                law(len(good) == len(block.input), "every item has succeeded")
                law(block.output == in_order, "outputs are in the order of the items")
            case "settled":
                law(len(outputs) == len(block.input), "every item has settled")
                statuses = [self.phase_of(block.path.child(ITEM, number)) for number in sorted(outputs)]
                told = block.output
                assert isinstance(told, list)
                law([item["status"] for item in told] == statuses, "outcomes are in the order of the items")
                law([item["output"] for item in told] == [outputs[n] for n in sorted(outputs)], "and so are outputs")
            case "any":
                law(good and block.output == next(iter(good.values())), "the first item that succeeds is enough")
            case least:
                law(isinstance(least, int) and len(good) >= least, "enough items have succeeded")
                law(block.output == in_order, "outputs are in the order of the items")

    READERS: ClassVar[Mapping[type, Reader]] = {
        **StepLaws.READERS,
        BlockStarted: _block_started,
        BlockCaught: _block_caught,
        BlockEnding: _block_ending,
        BlockFinished: _block_finished,
        BlockFailed: _block_failed,
        BlockStopping: _block_stopping,
        BlockCancelled: _block_cancelled,
        BlockExpanded: _block_expanded,
    }
