"""One block, played by itself: what its strategy starts settles in any order, fails, is skipped or refused.

Hundreds of times as fast as a whole task, and enough to see whether a strategy keeps its contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from agentplat.domain.errors import StepError
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.json import JsonValue, unstorable
from agentplat.domain.strategy import BlockView, Decision, Expand, Fail, Finish, Settled, Start, Strategy, Wait
from agentplat_testkit.simulation.entries import LawBroken, law
from agentplat_testkit.simulation.tape import Tape

FAILURE = Failure(code=FailureCode.TOOL_FAILED, message="the tool broke")
OutputOf = Callable[[str, BlockView, Tape], JsonValue]


class BlockPlay:
    """Plays a block to its end, and watches over what two instances of its strategy say."""

    def __init__(
        self, made: Callable[[], Strategy], view: BlockView, tape: Tape, *, output_of: OutputOf, most: int
    ) -> None:
        self.made = made
        self.strategies = (made(), made())
        self.name = self.strategies[0].name
        self.view = view
        self.tape = tape
        self.output_of = output_of
        self.most = most
        self.most_of = {step: self.strategies[0].most_of(step, view) for step in view.steps}
        self.open: list[tuple[str, int]] = []
        self.counts: dict[str, int] = {}  # executions of each step, under way or settled
        self.expansions = 0
        self.said: list[tuple[BlockView, tuple[Any, ...]]] = []
        self.failed = False  # by a step, of which the strategy does not want to hear

    def run(self) -> Decision | None:
        """The decision that ended the block; None when a failed step or a wrong plan did."""
        ended = self._to_its_end()
        fresh = self.made()
        for view, content in reversed(self.said):  # whoever remembers something is not used to that
            law(_content(decided(fresh, view)) == content, f"{self.name!r} decides otherwise when it is asked again")
        return ended

    def _to_its_end(self) -> Decision | None:
        waits = False
        while not self.failed:
            if waits or (self.open and not (self.strategies[0].consult_always and self.view.settled)):
                self._settle()
                waits = False
                continue
            decision = self.ask()
            match decision:
                case Finish() | Fail():
                    return self._stopped(decision) if self.open else decision
                case Start():
                    self._start(decision)
                case Wait():
                    law(self.open, f"{self.name!r} waits, and nothing is under way")
                    waits = True
                case Expand():
                    if not self._expand(decision):
                        return None
        return None

    def ask(self) -> Decision:
        """The decision; twice the same, and the view unchanged."""
        view = self.view = replace(self.view, open=tuple(step for step, _ in self.open))
        before = deepcopy((view.input, view.settled, dict(view.options), dict(view.step_options)))
        first, second = decided(self.strategies[0], view), decided(self.strategies[1], deepcopy(view))
        law(_content(first) == _content(second), f"the same view gave {first} and {second}")
        after = (view.input, view.settled, dict(view.options), dict(view.step_options))
        law(after == before, f"{self.name!r} changes what it is shown")
        self.said.append((view, _content(first)))
        return first

    def _stopped(self, decision: Decision) -> Decision:
        """What is under way is cancelled, and may win the race with an outcome; then it is asked again."""
        while self.open:
            step, number = self.open.pop(self.tape.next() % len(self.open))
            if self.tape.next() > 170:
                self._settled(step, number)
        again = self.ask()
        law(type(again) is type(decision), f"{self.name!r} ended its block with {decision}, and then gave {again}")
        return again

    def _start(self, decision: Start) -> None:
        law(decision.steps, f"{self.name!r} starts no step at all")
        unknown = set(decision.steps) - set(self.view.steps)
        law(not unknown, f"{self.name!r} starts {unknown}, which the block does not have")
        for step in decision.steps:
            number = self.counts[step] = self.counts.get(step, 0) + 1
            law(sum(self.counts.values()) <= self.most, f"{self.name!r} goes on after {self.most} executions")
            most = self.most_of.get(step)
            law(most is None or number <= most, f"{self.name!r} executes {step} {number} times, and says {most}")
            draw = self.tape.next()
            if draw > 250:  # its input cannot be evaluated, and the others that should start with it have to wait
                self._fails(step, number)
                return
            if draw > 235:
                self._add(Settled(step=step, number=number, status="skipped"))
            else:
                self.open.append((step, number))

    def _settle(self) -> None:
        step, number = self.open.pop(self.tape.next() % len(self.open))
        self._settled(step, number)

    def _settled(self, step: str, number: int) -> None:
        if self.tape.next() > 230:
            self._fails(step, number)
        else:
            output = self.output_of(step, self.view, self.tape)
            self._add(Settled(step=step, number=number, status="succeeded", output=output))

    def _fails(self, step: str, number: int) -> None:
        if self.strategies[0].sees_failures:
            self._add(Settled(step=step, number=number, status="failed", failure=FAILURE))
        else:
            self.failed = True

    def _add(self, settled: Settled) -> None:
        self.view = replace(self.view, settled=(*self.view.settled, settled))

    def _expand(self, decision: Expand) -> bool:
        """Whether the plan is taken; here one of steps with new names and known needs is."""
        self.expansions += 1
        law(self.expansions <= self.view.max_iterations, f"{self.name!r} expands its block more than max_iterations")
        plan = decision.steps
        if not isinstance(plan, list | tuple) or not all(isinstance(step, Mapping) for step in plan):
            return False
        names = [str(step["name"]) for step in plan if isinstance(step, Mapping) and "name" in step]
        steps = (*self.view.steps, *names)
        if len(names) < len(plan) or len(set(steps)) < len(steps):
            return False
        needs = dict(self.view.needs)
        for step in plan:
            wanted = step.get("needs", ()) if isinstance(step, Mapping) else ()
            if not isinstance(wanted, list | tuple) or not set(map(str, wanted)) <= set(steps):
                return False
            if isinstance(step, Mapping) and wanted:
                needs[str(step["name"])] = tuple(map(str, wanted))
        self.view = replace(self.view, steps=steps, planned=(*self.view.planned, *names), needs=needs)
        return True


def decided(strategy: Strategy, view: BlockView) -> Decision:
    """What the strategy decides; a StepError that it raises fails its block, as the interpreter has it."""
    try:
        decision = strategy.decide(view)
    except StepError as error:
        return Fail(error.failure.message, error.failure.code, error.failure.details)
    except Exception as error:
        raise LawBroken(f"{strategy.name!r} raised {error!r} when it was shown {view}") from error
    law(isinstance(decision, Start | Wait | Expand | Finish | Fail), f"decide gave {decision!r}")
    fault = unstorable(_kept(decision))
    law(fault is None, f"{strategy.name!r} gave {decision}, which cannot be kept: {fault}")
    return decision


def _kept(decision: Decision) -> object:
    match decision:
        case Start():
            return decision.input
        case Finish():
            return decision.output
        case Expand():
            return decision.steps
        case Fail():
            return [decision.message, decision.details]
        case _:
            return None


def _content(decision: Decision) -> tuple[Any, ...]:
    match decision:
        case Start():
            return ("start", decision.steps, decision.input)
        case Finish():
            return ("finish", decision.output)
        case Fail():
            return ("fail", decision.failure)
        case Expand():
            return ("expand", decision.steps)
        case _:
            return ("wait",)
