"""The typed tree that a workflow document becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeAlias

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy

DEFAULT_STEP_TIMEOUT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class AgentCall:
    agent: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    tool: str


@dataclass(frozen=True, slots=True)
class TimerWait:
    duration: timedelta


@dataclass(frozen=True, slots=True)
class SignalWait:
    """Its output is the signal's payload; without one in time the step fails with `timeout`."""

    signal: str
    timeout: timedelta | None = None


Body: TypeAlias = AgentCall | ToolCall | TimerWait | SignalWait


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A leaf: one agent, tool or wait."""

    name: str
    body: Body
    input: JsonValue = None  # a template with `${{ }}` expressions; None: what the strategy hands over
    when: str | None = None  # an expression; when false the step is skipped
    retry: RetryPolicy = DEFAULT_RETRY
    timeout: timedelta = DEFAULT_STEP_TIMEOUT  # of one attempt
    description: str = ""
    needs: tuple[str, ...] = ()  # the steps of its block that come before it
    step_options: Mapping[str, JsonValue] = field(default_factory=dict)  # what the strategy around is told of it


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
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)  # of the steps
    without_input: frozenset[str] = field(init=False, repr=False, compare=False)  # which take what the strategy gives
    needed: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)  # `needs` of the steps
    told: Mapping[str, Mapping[str, JsonValue]] = field(init=False, repr=False, compare=False)  # `step_options` of them
    _by_name: Mapping[str, Step | Block] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(step.name for step in self.steps))
        taking = frozenset(step.name for step in self.steps if step.input is None)
        object.__setattr__(self, "without_input", taking)
        object.__setattr__(self, "needed", {step.name: step.needs for step in self.steps if step.needs})
        told = {step.name: step.step_options for step in self.steps if step.step_options}
        object.__setattr__(self, "told", told)
        object.__setattr__(self, "_by_name", {step.name: step for step in reversed(self.steps)})

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


def leaves(block: Block) -> Iterator[Step]:
    """All leaf steps below `block`, in the order of the document."""
    for step in block.steps:
        if isinstance(step, Block):
            yield from leaves(step)
        else:
            yield step


def single(kind: str, target: str) -> Workflow:
    """The workflow of a lone `agent:` or `tool:` task: one step that takes the task's input and gives its output."""
    body: Body = AgentCall(target) if kind == "agent" else ToolCall(target)
    return Workflow(name=target, root=Block(name="", strategy=SINGLE, steps=(Step(name=target, body=body),)))


SINGLE = "single"
"""The one rule that is no plugin: start the only step with the block's input, finish with its output."""
