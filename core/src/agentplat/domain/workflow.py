"""The typed tree that a workflow document becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeAlias

from agentplat.domain.failure import Failure
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy

DEFAULT_STEP_TIMEOUT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class AgentCall:
    agent: str
    model: str | None = None  # None: what the agent, or the installation, says


@dataclass(frozen=True, slots=True)
class ToolCall:
    tool: str


@dataclass(frozen=True, slots=True)
class WorkflowCall:
    """Another workflow, as a task of its own. Its output is that task's."""

    workflow: str
    timeout: timedelta | None = None  # of the whole task


@dataclass(frozen=True, slots=True)
class TimerWait:
    duration: timedelta


@dataclass(frozen=True, slots=True)
class SignalWait:
    """Its output is the signal's payload; without one in time the step fails with `timeout`."""

    signal: str
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class UntilWait:
    """Until a time that a template gives, as ISO 8601."""

    until: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Somebody's yes or no. Its output has `approved`, `by` and what the form asked for."""

    message: str  # a template
    form: JsonObject | None = None  # JSON Schema of an object
    assignee: str | None = None  # a template: `role:editor`, an address, ...
    timeout: timedelta | None = None
    on_timeout: str = "fail"  # or approve, reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Tells whoever listens to the task; its output is what it told."""

    event: str
    payload: JsonValue = None  # a template


Call: TypeAlias = AgentCall | ToolCall
Body: TypeAlias = Call | WorkflowCall | TimerWait | SignalWait | UntilWait | Approval | Emit


@dataclass(frozen=True, slots=True)
class Concurrency:
    """So many tasks of one key are worked on at a time."""

    key: str  # a template
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Each attempt of the step is a task of its own, a child, on a worker that serves its queue."""

    queue: str | None = None  # None: that of the task
    concurrency: Concurrency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEach:
    """One execution per item of a list, at most `max_parallel` at a time."""

    items: JsonValue  # a template
    max_parallel: int
    join: str | int = "all"  # or settled, any, or the number of executions that have to succeed


@dataclass(frozen=True, slots=True)
class Catch:
    """What is done when a block fails by one of these."""

    on: frozenset[str]  # failure codes, or the groups `retryable` and `permanent`
    block: Block

    def takes(self, failure: Failure) -> bool:
        """Whether this clause is for such a failure."""
        return not self.on.isdisjoint({"retryable" if failure.retryable else "permanent", failure.code.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A leaf: one agent, tool, workflow, wait, approval or emit."""

    name: str
    body: Body
    input: JsonValue = None  # a template with `${{ }}` expressions; None: what the strategy hands over
    when: str | None = None  # an expression; when false the step is skipped
    retry: RetryPolicy = DEFAULT_RETRY
    timeout: timedelta = DEFAULT_STEP_TIMEOUT  # of one attempt
    description: str = ""
    needs: tuple[str, ...] = ()  # the steps of its block that come before it
    step_options: Mapping[str, JsonValue] = field(default_factory=dict)  # what the strategy around is told of it
    compensate: Block | None = None  # what makes it undone when the task fails later
    dispatch: Dispatch | None = None  # None: it runs where its task does. A workflow has always one
    reads_scope: bool = field(init=False, repr=False, compare=False)  # whether it has an expression to start with

    def __post_init__(self) -> None:
        if self.dispatch is None and isinstance(self.body, WorkflowCall):
            object.__setattr__(self, "dispatch", Dispatch())
        keyed = self.dispatch is not None and self.dispatch.concurrency is not None
        templates = self.when is not None or self.input is not None or keyed
        object.__setattr__(self, "reads_scope", templates or isinstance(self.body, UntilWait | Approval | Emit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A node with its own strategy and children."""

    name: str
    strategy: str
    steps: tuple[Step | Block, ...]
    max_iterations: int = 1
    convergence_check: str | None = None  # a registered check
    until: str | None = None  # an expression; stands in place of a convergence check
    options: Mapping[str, JsonValue] = field(default_factory=dict)  # what the strategy and the check are told besides
    input: JsonValue = None
    when: str | None = None
    description: str = ""
    needs: tuple[str, ...] = ()
    step_options: Mapping[str, JsonValue] = field(default_factory=dict)
    compensate: Block | None = None
    foreach: ForEach | None = None  # then its only step, ITEM, is what is done for each item
    catch: tuple[Catch, ...] = ()
    final: Block | None = None  # `finally`
    timeout: timedelta | None = None  # of the whole block
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)  # of the steps
    reads_scope: bool = field(init=False, repr=False, compare=False)
    without_input: frozenset[str] = field(init=False, repr=False, compare=False)  # which take what the strategy gives
    needed: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)  # `needs` of the steps
    told: Mapping[str, Mapping[str, JsonValue]] = field(init=False, repr=False, compare=False)  # `step_options` of them
    _by_name: Mapping[str, Step | Block] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(step.name for step in self.steps))
        reads = self.when is not None or self.input is not None or self.foreach is not None
        object.__setattr__(self, "reads_scope", reads)
        taking = frozenset(step.name for step in self.steps if step.input is None)
        object.__setattr__(self, "without_input", taking)
        object.__setattr__(self, "needed", {step.name: step.needs for step in self.steps if step.needs})
        told = {step.name: step.step_options for step in self.steps if step.step_options}
        object.__setattr__(self, "told", told)
        by_name: dict[str, Step | Block] = {step.name: step for step in reversed(self.steps)}
        by_name.update((clause.block.name, clause.block) for clause in self.catch)
        if self.final is not None:
            by_name[FINALLY] = self.final
        object.__setattr__(self, "_by_name", by_name)

    def with_steps(self, steps: tuple[Step | Block, ...]) -> Block:
        """The same block with these steps besides."""
        return replace(self, steps=(*self.steps, *steps))

    def step(self, name: str) -> Step | Block:
        """The child of that name. Raises KeyError when there is none: a strategy named a step that it was not given."""
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"block {self.name!r} has no step {name!r}; it has {list(self.names)}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    name: str
    root: Block
    description: str = ""
    version: str | None = None
    input_schema: JsonObject | None = None
    output: JsonValue = None  # a template; None: what the root block gives
    deadline: timedelta | None = None  # for the whole task, waiting included
    budget: JsonObject = field(default_factory=dict)  # `usd`, `tokens`: how much it may use
    schedule: JsonObject | None = None
    compensates: bool = field(init=False, repr=False, compare=False)  # whether any step has a `compensate`

    def __post_init__(self) -> None:
        object.__setattr__(self, "compensates", any(node.compensate is not None for node in nodes(self.root)))


def nodes(block: Block) -> Iterator[Step | Block]:
    """All steps and blocks below `block`, those that handle failures and ends included."""
    handlers = [clause.block for clause in block.catch] + ([block.final] if block.final is not None else [])
    for step in (*block.steps, *handlers):
        yield step
        if step.compensate is not None:
            yield step.compensate
            yield from nodes(step.compensate)
        if isinstance(step, Block):
            yield from nodes(step)


def leaves(block: Block) -> Iterator[Step]:
    """All leaf steps below `block`, wherever they stand."""
    return (node for node in nodes(block) if isinstance(node, Step))


def single(kind: str, target: str, model: str | None = None, **how: Any) -> Workflow:
    """The workflow of a lone `agent:` or `tool:` task: one step that takes the task's input and gives its output.

    `how` it is run: retry, timeout.
    """
    body: Body = AgentCall(target, model) if kind == "agent" else ToolCall(target)
    return Workflow(name=target, root=Block(name="", strategy=SINGLE, steps=(Step(name=target, body=body, **how),)))


SINGLE = "single"
"""A rule that is no plugin: start the only step with the block's input, finish with its output."""
FOREACH = "foreach"
"""Another: start the only step once for each item."""
ITEM = "[]"
"""The name of that step."""
FINALLY, CATCH, COMPENSATE = "@finally", "@catch", "@compensate"
"""Blocks that no strategy starts: steps cannot be called like this."""
