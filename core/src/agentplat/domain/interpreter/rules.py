"""What the interpreter is handed from outside, and what it hands to expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.state import BlockState, State
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import Block

ROOT = StepPath()


class Rules(Protocol):
    """What the interpreter is handed from outside. Free of I/O, clock and randomness, like the interpreter itself."""

    def evaluate(self, template: JsonValue, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The template with its expressions evaluated. Raises StepError when one cannot be."""

    def truth(self, expression: str, scope: Mapping[str, JsonValue]) -> bool:
        """Whether the expression holds. Raises StepError when it cannot be evaluated."""

    def strategy(self, name: str) -> Strategy: ...

    def check(self, name: str, output: JsonValue, options: Mapping[str, JsonValue]) -> bool:
        """Whether the convergence check of that name is satisfied by `output`."""

    def validate_steps(self, steps: JsonValue, block: Block) -> Sequence[JsonObject]:
        """The normal form of steps that are added to `block`. Raises StepError, with every fault in its details."""


def scope_of(state: State, block: BlockState) -> dict[str, JsonValue]:
    """What an expression may name. `steps` has the latest settled execution of each step of the block."""
    return {
        "input": state.input,
        "steps": block.latest,
        "iteration": block.iteration,
        "signals": {signal.name: signal.payload for signal in state.signals} if state.signals else {},
        "task": state.task,
    }


def block_node(state: State, path: StepPath) -> Block:
    """What the document says of the block at `path`."""
    node = state.node(path)
    if not isinstance(node, Block):
        raise KeyError(f"{path} is not a block")
    return node
