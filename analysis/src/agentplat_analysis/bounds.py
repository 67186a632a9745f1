"""The worst case of a workflow: what it takes at most, which loop dominates it, and what has no bound and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from agentplat.domain.interpreter import MAX_EXECUTIONS
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.strategy import BlockView, Strategy
from agentplat.domain.workflow import SINGLE, AgentCall, Block, SignalWait, Step, TimerWait, ToolCall, Workflow
from agentplat_analysis.amounts import QUANTITIES, Amounts, Quantity, dearest, is_bounded

StepNames = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What one execution of an agent takes at most; None: nobody says so."""

    model_calls: int | None = None
    tool_calls: int | None = None
    model: str = ""  # `provider:model`


class Knowledge(Protocol):
    """What is known of the things that a workflow names."""

    def strategy(self, name: str) -> Strategy: ...

    def calls(self, agent: str) -> Calls: ...

    def price(self, model: str) -> float | None:
        """Of a million tokens, the dearer kind, in USD; None when it is not known."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What is executed more than once in its block. `saved` is what of the worst case would be gone if it were not."""

    path: StepNames
    kind: str
    saved: Amounts


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a quantity has no bound, or only that of the engine."""

    quantities: tuple[Quantity, ...]
    path: StepNames
    reason: str


@dataclass(frozen=True, slots=True)
class Bounds:
    most: Amounts
    cost: float | None  # in USD; infinite without a bound, None where a price is not known
    dominating: Mapping[Quantity, Loop] = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()
    unpriced: tuple[str, ...] = ()  # models whose price is not known


def bounds_of(workflow: Workflow, known: Knowledge) -> Bounds:
    """The worst case of a task of the workflow, whose steps are executed one after another.

    Not counted are repetitions after a crash, pauses that a service asks for, and the wait for a free worker.
    """
    tally = _Tally(known)
    most = tally.block(workflow.root, ())
    if most["model_calls"]:
        most = most.with_values(tokens=math.inf)
        tally.unbounded((), "nothing limits what goes into a prompt", "tokens")
    if workflow.deadline is not None:
        most = most.with_values(seconds=min(most["seconds"], workflow.deadline.total_seconds()))
    dominating = {
        quantity: max(tally.loops, key=lambda loop, of=quantity: loop.saved[of])  # type: ignore[misc]
        for quantity in QUANTITIES
        if is_bounded(most[quantity]) and any(loop.saved[quantity] for loop in tally.loops)
    }
    causes = [
        Cause(left, cause.path, cause.reason)
        for cause in tally.causes
        if (left := tuple(each for each in cause.quantities if each == "executions" or not is_bounded(most[each])))
    ]
    cost, unpriced = _cost(most, tally.models, known)
    return Bounds(most, cost, dominating, tuple(dict.fromkeys(causes)), unpriced)


def _cost(most: Amounts, models: set[str], known: Knowledge) -> tuple[float | None, tuple[str, ...]]:
    """All tokens at the price of the dearest model; the models of unknown price."""
    prices = {model: known.price(model) for model in sorted(models)}
    unpriced = tuple(model for model, price in prices.items() if price is None)
    if not most["tokens"] or not any(price != 0 for price in prices.values()):
        return 0.0, ()
    if unpriced:
        return None, unpriced
    return most["tokens"] / 1_000_000 * max(price or 0.0 for price in prices.values()), ()


class _Tally:
    def __init__(self, known: Knowledge) -> None:
        self.known = known
        self.loops: list[Loop] = []
        self.causes: list[Cause] = []
        self.models: set[str] = set()

    def unbounded(self, path: StepNames, reason: str, *quantities: Quantity) -> None:
        self.causes.append(Cause(quantities, path, reason))

    def node(self, node: Step | Block, path: StepNames) -> Amounts:
        return self.block(node, path) if isinstance(node, Block) else self.step(node, path)

    def block(self, block: Block, path: StepNames) -> Amounts:
        first_loop = len(self.loops)
        parts = {step.name: self.node(step, (*path, step.name)) for step in block.steps}
        counts, together = self._counts(block)
        most = dearest(((parts[name], count) for name, count in counts.items()), together or MAX_EXECUTIONS)
        once = dearest(((parts[name], min(count, 1)) for name, count in counts.items()), together or MAX_EXECUTIONS)
        self._repeat_loops(first_loop, path, counts)
        if together is None:
            reason = f"how much strategy `{block.strategy}` executes is known only when it runs"
            self.unbounded(path, f"{reason}; the engine stops it after {MAX_EXECUTIONS} executions", *QUANTITIES)
            return most.with_values(
                executions=MAX_EXECUTIONS, model_calls=math.inf, tool_calls=math.inf, seconds=math.inf
            )
        if together > sum(1 for count in counts.values() if count):
            saved = Amounts({each: _less(most[each], once[each]) for each in QUANTITIES})
            self.loops.append(Loop(path, f"{block.strategy}, at most {together:g} executions", saved))
        return most

    def _repeat_loops(self, first: int, path: StepNames, counts: Mapping[str, float]) -> None:
        """A loop inside of what is repeated takes as much each time."""
        for place in range(first, len(self.loops)):
            loop = self.loops[place]
            self.loops[place] = Loop(loop.path, loop.kind, loop.saved.times(counts[loop.path[len(path)]]))

    def _counts(self, block: Block) -> tuple[dict[str, float], float | None]:
        """How often each step of the block is executed at most, and all of them together if that is known."""
        if block.strategy == SINGLE:
            return {block.steps[0].name: 1.0}, 1.0
        strategy, view = self.known.strategy(block.strategy), _view_of(block)
        together = _asked(lambda: strategy.most_executions(view))
        limit = float(MAX_EXECUTIONS if together is None else min(together, MAX_EXECUTIONS))
        counts: dict[str, float] = {}
        for name in block.names:
            most = _asked(partial(strategy.most_of, name, view))
            counts[name] = limit if most is None else min(float(most), limit)
        return counts, None if together is None else min(limit, sum(counts.values()))

    def step(self, step: Step, path: StepNames) -> Amounts:
        attempts = step.retry.max_attempts
        match step.body:
            case AgentCall(agent):
                return self._agent(agent, path).times(attempts).with_values(executions=1, seconds=_seconds(step))
            case ToolCall():
                return Amounts({"executions": 1, "tool_calls": attempts, "seconds": _seconds(step)})
            case TimerWait(duration):
                return Amounts({"executions": 1, "seconds": duration.total_seconds()})
            case SignalWait(signal, timeout):
                if timeout is None:
                    self.unbounded(path, f"it waits for the signal `{signal}` without a timeout", "seconds")
                seconds = math.inf if timeout is None else timeout.total_seconds()
                return Amounts({"executions": 1, "seconds": seconds})

    def _agent(self, agent: str, path: StepNames) -> Amounts:
        calls = self.known.calls(agent)
        found: dict[Quantity, float] = {}
        for quantity, said in (("model_calls", calls.model_calls), ("tool_calls", calls.tool_calls)):
            found[quantity] = math.inf if said is None else said  # type: ignore[index]
            if said is None:
                attribute = f"most_{quantity}"
                reason = f"agent `{agent}` does not say how many {quantity.replace('_', ' ')} it makes: `{attribute}`"
                self.unbounded(path, reason, quantity)  # type: ignore[arg-type]
        if found["model_calls"]:
            self.models.add(calls.model)
        return Amounts(found)


def _asked(ask: Callable[[], int | None]) -> int | None:
    """What the strategy says; None where an option is a template, of which it cannot know the value yet."""
    try:
        return ask()
    except Exception:  # noqa: BLE001 - foreign code
        return None


def _less(most: float, once: float) -> float:
    return most - once if is_bounded(most) else 0.0


def _view_of(block: Block) -> BlockView:
    """The block before anything has run."""
    return BlockView(
        steps=block.names,
        input=None,
        settled=(),
        max_iterations=block.max_iterations,
        options=block.options,
        needs=block.needed,
        step_options=block.told,
    )


def _seconds(step: Step) -> float:
    """All attempts at their longest, and the longest pauses between them."""
    pauses = sum(_pause(step.retry, tries) for tries in range(1, step.retry.max_attempts))
    return step.retry.max_attempts * step.timeout.total_seconds() + pauses


def _pause(retry: RetryPolicy, tries: int) -> float:
    first, longest = retry.initial.total_seconds(), retry.max.total_seconds()
    factor = {"exponential": 2.0 ** min(tries - 1, 60), "linear": float(tries), "constant": 1.0}[retry.backoff]
    return min(first * factor, longest)
