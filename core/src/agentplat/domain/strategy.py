"""The contract of a coordination strategy: a pure rule over what has happened in one block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from agentplat.domain.events import value
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.json import JsonObject, JsonValue, unstorable
from agentplat.domain.workflow import Block


@value
class Settled:
    """A finished execution of one of the block's steps."""

    step: str
    number: int  # which execution of this step, from 1
    status: Literal["succeeded", "skipped", "failed"]
    """`failed` is seen only by strategies that say `sees_failures`."""
    output: JsonValue = None
    failure: Failure | None = None  # why it failed


@value
class BlockView:
    """All that a strategy sees. The same view gives the same decision, for ever."""

    steps: tuple[str, ...]  # the names of the block's steps, in the order of the document
    input: JsonValue
    settled: tuple[Settled, ...]  # in the order in which they finished
    open: tuple[str, ...] = ()  # steps under way; empty unless the strategy says `consult_always`
    max_iterations: int = 1
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    converged: Callable[[JsonValue], bool] = lambda output: False
    """Whether an output satisfies the block's `until` or `convergence_check`; False when it has neither."""
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of the steps that say `needs`
    step_options: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)  # of the steps that have any
    planned: tuple[str, ...] = ()  # the names of the steps that an Expand added; they are the last ones of `steps`
    revision: int = 1
    """That of the strategy when the block began. Newer code decides for such a block as that revision did."""
    evaluate: Callable[[JsonValue], JsonValue] = lambda template: template
    """A template's value in the scope of the block. Raises StepError when it cannot be evaluated."""

    def count(self, step: str) -> int:
        """How many executions of `step` are settled."""
        return sum(1 for execution in self.settled if execution.step == step)


class Start:
    """Start executions of the named steps. `input` goes to each, unless the document gives the step an input.

    A name that is given several times is several executions.
    """

    __slots__ = ("input", "steps")

    def __init__(self, *steps: str, input: JsonValue = None) -> None:
        self.steps = steps
        self.input = input

    def __repr__(self) -> str:
        return f"Start({', '.join(map(repr, self.steps))}, input={self.input!r})"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start until something of the block settles. Right only while something is open."""


@dataclass(frozen=True, slots=True)
class Expand:
    """Add steps to the block, written as in a document, and ask again.

    A plan that the compiler refuses fails the block with `invalid_output`. A block is expanded at most
    `max_iterations` times.
    """

    steps: JsonValue


@dataclass(frozen=True, slots=True)
class Finish:
    output: JsonValue


@dataclass(frozen=True, slots=True)
class Fail:
    message: str
    code: FailureCode = FailureCode.AGENT_FAILED
    details: JsonObject = field(default_factory=dict)

    @property
    def failure(self) -> Failure:
        return Failure(code=self.code, message=self.message, details=self.details)


Decision: TypeAlias = Start | Wait | Expand | Finish | Fail


@dataclass(frozen=True, slots=True)
class Way:
    """That a block may go on from one of its steps to another, for whoever draws it."""

    source: str | None  # None: the block begins with `target`
    target: str | None  # None: the block may end after `source`
    label: str = ""
    again: bool = False
    """Whether it leads back to what has run already."""


def checked(decision: object, block: Block) -> Decision:
    """The decision, if it is one that the strategy of `block` can take and that can be kept.

    Raises TypeError or ValueError that say what is wrong with it.
    """
    match decision:
        case Wait():
            return decision
        case Start():
            unknown = [name for name in decision.steps if name not in block.names]
            if unknown or not decision.steps:
                wrong = f"the unknown step {unknown[0]!r}" if unknown else "no step at all"
                raise ValueError(f"decide starts {wrong}; there are {list(block.names)}")
            # What no step takes is not kept, and nearly every step has an input of its own.
            kept: object = None if block.without_input.isdisjoint(decision.steps) else decision.input
        case Finish():
            kept = decision.output
        case Expand():
            kept = decision.steps
        case Fail():
            decision = Fail(str(decision.message), FailureCode(decision.code), {**decision.details})
            kept = [decision.message, decision.details]
        case _:
            raise TypeError(f"decide returned {type(decision).__name__}, not Start, Wait, Expand, Finish or Fail")
    fault = unstorable(kept)
    if fault is not None:
        where = f"at {fault[0]}" if fault[0] else "as a whole"
        raise ValueError(f"decide returned {type(decision).__name__} with a value that {where} {fault[1]}")
    return decision


class Strategy:
    """Coordinates the steps of a block. Subclass, name it, implement `decide`.

    Retry, timeout, `when`, nesting and cancelling are not a strategy's business. A step that fails for good fails
    the block without asking, unless the class says `sees_failures`. `revision` grows when the rule changes; a block
    keeps the one by which it began, and newer code goes by the view's.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 1
    consult_always: ClassVar[bool] = False
    """False: asked only when nothing of the block is open. True: asked after every settled execution."""
    sees_failures: ClassVar[bool] = False
    """True: a step that failed for good is in `settled`, and the strategy decides whether the block fails."""

    def decide(self, block: BlockView) -> Decision:
        """What to do next. Pure: no I/O, no clock, no randomness, no state."""
        raise NotImplementedError(f"{type(self).__name__} does not implement decide")

    def most_executions(self, block: BlockView) -> int | None:
        """How many executions a block has at most; None: known only when it runs, as of a plan.

        Asked before anything runs: nothing is settled, and options may still be templates.
        """
        each = [self.most_of(step, block) for step in block.steps]
        known = [most for most in each if most is not None]
        return sum(known) if len(known) == len(each) else None

    def most_of(self, step: str, block: BlockView) -> int | None:  # noqa: ARG002 - for those who override
        """How many of them are of this step at most, as far as that can be told."""
        return block.max_iterations

    def ways(self, block: BlockView) -> Sequence[Way]:
        """How a block may go on from step to step, for pictures. At least one begins it, and one ends it.

        Asked as `most_executions`. Unless a class says otherwise: each step after those that it needs.
        """
        needed = {need for needs in block.needs.values() for need in needs}
        return [
            *(Way(source, step) for step in block.steps for source in block.needs.get(step) or (None,)),
            *(Way(step, None) for step in block.steps if step not in needed),
        ]
