"""The worst case of a workflow: what it takes at most, which loop dominates it, and what has no bound and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Protocol

from agentplat.domain.interpreter import MAX_EXECUTIONS
from agentplat.domain.interpreter.starting import MAX_ITEMS
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import (
    COMPENSATE,
    FINALLY,
    ITEM,
    SINGLE,
    AgentCall,
    Approval,
    Block,
    Emit,
    ForEach,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)
from agentplat.language.syntax import Expression, PathPart, split
from agentplat_analysis.amounts import QUANTITIES, Amounts, Quantity, dearest, is_bounded, largest
from agentplat_analysis.asking import asked, view_of

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

    def workflow(self, name: str) -> Workflow | None:
        """The workflow of that name; None when it is not known."""

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
    tally = _Tally(known, workflow.input_schema, (workflow.name,))
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
    cost, unpriced = _cost(most, tally, known)
    return Bounds(most, cost, dominating, tuple(dict.fromkeys(causes)), unpriced)


def _cost(most: Amounts, tally: _Tally, known: Knowledge) -> tuple[float | None, tuple[str, ...]]:
    """All tokens at the price of the dearest model; the models of unknown price."""
    prices = {model: known.price(model) for model in sorted(tally.models)}
    prices.update((f"what `{name}` uses", None) for name in tally.unknown)
    unpriced = tuple(model for model, price in prices.items() if price is None)
    if not most["tokens"] or not any(price != 0 for price in prices.values()):
        return 0.0, ()
    if unpriced:
        return None, unpriced
    return most["tokens"] / 1_000_000 * max(price or 0.0 for price in prices.values()), ()


class _Tally:
    def __init__(self, known: Knowledge, input_schema: JsonObject | None, around: tuple[str, ...]) -> None:
        self.known = known
        self.input_schema = input_schema
        self.around = around  # the names of the workflow and of those that call it
        self.unknown: list[str] = []  # workflows of which no more than the name is known
        self.loops: list[Loop] = []
        self.causes: list[Cause] = []
        self.models: set[str] = set()

    def unbounded(self, path: StepNames, reason: str, *quantities: Quantity) -> None:
        self.causes.append(Cause(quantities, path, reason))

    def node(self, node: Step | Block, path: StepNames) -> Amounts:
        most = self.block(node, path) if isinstance(node, Block) else self.step(node, path)
        return most + self.block(node.compensate, (*path, COMPENSATE)) if node.compensate is not None else most

    def block(self, block: Block, path: StepNames) -> Amounts:
        most = self._items(block, block.foreach, path) if block.foreach is not None else self._steps(block, path)
        caught = [self.block(clause.block, (*path, clause.block.name)) for clause in block.catch]
        most += largest(caught)  # a failure is caught once
        if block.timeout is not None:
            most = most.with_values(seconds=min(most["seconds"], block.timeout.total_seconds()))
        return most + self.block(block.final, (*path, FINALLY)) if block.final is not None else most

    def _steps(self, block: Block, path: StepNames) -> Amounts:
        """What the strategy executes."""
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
            self._add_loop(path, f"{block.strategy}, at most {together:g} executions", most, once)
        return most

    def _items(self, block: Block, foreach: ForEach, path: StepNames) -> Amounts:
        """What is done for all items; as many at a time as may be."""
        first_loop = len(self.loops)
        item = self.node(block.steps[0], (*path, ITEM))
        count = _items_of(foreach.items, self.input_schema)
        if not is_bounded(count):
            reason = f"no schema of the input says how many items `{foreach.items}` has (`maxItems`)"
            self.unbounded(path, f"{reason}; the engine takes {MAX_ITEMS} at most", "executions")
            count = MAX_ITEMS
        most = item.times(count)
        most = most.with_values(seconds=item["seconds"] * math.ceil(count / foreach.max_parallel))
        self._repeat_loops(first_loop, path, {ITEM: count})
        if count > 1:
            self._add_loop(path, f"foreach, at most {count:g} items", most, item)
        return most

    def _add_loop(self, path: StepNames, kind: str, most: Amounts, once: Amounts) -> None:
        self.loops.append(Loop(path, kind, Amounts({each: _less(most[each], once[each]) for each in QUANTITIES})))

    def _repeat_loops(self, first: int, path: StepNames, counts: Mapping[str, float]) -> None:
        """A loop inside of what is repeated takes as much each time."""
        for place in range(first, len(self.loops)):
            loop = self.loops[place]
            self.loops[place] = Loop(loop.path, loop.kind, loop.saved.times(counts.get(loop.path[len(path)], 1)))

    def _counts(self, block: Block) -> tuple[dict[str, float], float | None]:
        """How often each step of the block is executed at most, and all of them together if that is known."""
        if block.strategy == SINGLE:
            return {block.steps[0].name: 1.0}, 1.0
        strategy = self.known.strategy(block.strategy)
        view = view_of(block, strategy.revision)
        together = asked(lambda: strategy.most_executions(view))
        limit = float(MAX_EXECUTIONS if together is None else min(together, MAX_EXECUTIONS))
        counts: dict[str, float] = {}
        for name in block.names:
            most = asked(partial(strategy.most_of, name, view))
            counts[name] = limit if most is None else min(float(most), limit)
        return counts, None if together is None else min(limit, sum(counts.values()))

    def step(self, step: Step, path: StepNames) -> Amounts:
        attempts = step.retry.max_attempts
        match step.body:
            case AgentCall(agent, model):
                return self._agent(agent, model, path).times(attempts).with_values(executions=1, seconds=_seconds(step))
            case ToolCall():
                return Amounts({"executions": 1, "tool_calls": attempts, "seconds": _seconds(step)})
            case WorkflowCall():
                return self._workflow(step, step.body, path)
            case TimerWait(duration):
                return Amounts({"executions": 1, "seconds": duration.total_seconds()})
            case SignalWait(signal, timeout):
                return self._waits(path, f"it waits for the signal `{signal}` without a timeout", timeout)
            case Approval():
                return self._waits(path, "it waits for an approval without a timeout", step.body.timeout)
            case UntilWait(until):
                return self._waits(path, f"it waits until `{until}`, which is known only when it runs", None)
            case Emit():
                return Amounts({"executions": 1})

    def _workflow(self, step: Step, body: WorkflowCall, path: StepNames) -> Amounts:
        """All that the other workflow takes, in each attempt."""
        attempts = step.retry.max_attempts
        workflow = self.known.workflow(body.workflow)
        if workflow is None or body.workflow in self.around:
            most = self._of_unknown(body.workflow, path)
        else:
            inner = _Tally(self.known, workflow.input_schema, (*self.around, body.workflow))
            most = inner.block(workflow.root, path)
            if workflow.deadline is not None:
                most = most.with_values(seconds=min(most["seconds"], workflow.deadline.total_seconds()))
            self.loops += [Loop(loop.path, loop.kind, loop.saved.times(attempts)) for loop in inner.loops]
            self.causes += inner.causes
            self.models |= inner.models
            self.unknown += inner.unknown
        if body.timeout is not None:
            most = most.with_values(seconds=min(most["seconds"], body.timeout.total_seconds()))
        return most.times(attempts) + Amounts({"executions": 1, "seconds": _pauses(step)})

    def _of_unknown(self, name: str, path: StepNames) -> Amounts:
        if name in self.around:
            ring = " -> ".join((*self.around[self.around.index(name) :], name))
            reason = f"the workflow calls itself ({ring}), and only how deep tasks may be ends that"
        else:
            reason = f"workflow `{name}` is not known here, or at fault"
        self.unbounded(path, reason, *QUANTITIES)
        self.unknown.append(name)
        return Amounts(dict.fromkeys(QUANTITIES, math.inf))

    def _waits(self, path: StepNames, reason: str, timeout: timedelta | None) -> Amounts:
        if timeout is None:
            self.unbounded(path, reason, "seconds")
        return Amounts({"executions": 1, "seconds": math.inf if timeout is None else timeout.total_seconds()})

    def _agent(self, agent: str, model: str | None, path: StepNames) -> Amounts:
        calls = self.known.calls(agent)
        found: dict[Quantity, float] = {}
        for quantity, said in (("model_calls", calls.model_calls), ("tool_calls", calls.tool_calls)):
            found[quantity] = math.inf if said is None else said  # type: ignore[index]
            if said is None:
                attribute = f"most_{quantity}"
                reason = f"agent `{agent}` does not say how many {quantity.replace('_', ' ')} it makes: `{attribute}`"
                self.unbounded(path, reason, quantity)  # type: ignore[arg-type]
        if found["model_calls"]:
            self.models.add(model or calls.model)
        return Amounts(found)


def _items_of(items: JsonValue, input_schema: JsonObject | None) -> float:
    """How many items there are at most: those of a list, or what the input's schema says."""
    if isinstance(items, list | tuple):
        return len(items)
    path = _path_of(items) if isinstance(items, str) else None
    schema: JsonValue = input_schema
    if path is None or path[0] != "input":
        return math.inf
    for name in path[1:]:
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        schema = properties.get(name) if isinstance(properties, Mapping) and isinstance(name, str) else None
    most = schema.get("maxItems") if isinstance(schema, Mapping) else None
    return most if isinstance(most, int) and not isinstance(most, bool) else math.inf


def _path_of(text: str) -> tuple[PathPart, ...] | None:
    """The path that a lone expression is."""
    pieces = split(text)
    return pieces[0].path if len(pieces) == 1 and isinstance(pieces[0], Expression) else None


def _less(most: float, once: float) -> float:
    return most - once if is_bounded(most) else 0.0


def _seconds(step: Step) -> float:
    """All attempts at their longest, and the longest pauses between them."""
    return step.retry.max_attempts * step.timeout.total_seconds() + _pauses(step)


def _pauses(step: Step) -> float:
    return sum(_pause(step.retry, tries) for tries in range(1, step.retry.max_attempts))


def _pause(retry: RetryPolicy, tries: int) -> float:
    first, longest = retry.initial.total_seconds(), retry.max.total_seconds()
    factor = {"exponential": 2.0 ** min(tries - 1, 60), "linear": float(tries), "constant": 1.0}[retry.backoff]
    return min(first * factor, longest)
