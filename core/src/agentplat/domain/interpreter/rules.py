"""What the interpreter is handed from outside, and what it hands to expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from agentplat.domain.events import DeadlinePassed
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.state import BlockState, Phase, State
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import COMPENSATE, FOREACH, ITEM, SINGLE, Block

ROOT = StepPath()
OVERDUE = "The task took longer than its workflow allows."


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


def revision_of(block: Block, rules: Rules) -> int:
    """The revision of its strategy that a block which begins now keeps to its end."""
    if block.strategy in (SINGLE, FOREACH):
        return 1
    try:
        return rules.strategy(block.strategy).revision
    # A strategy is foreign code. What is wrong with it fails the block when it is asked.
    except (Exception, SystemExit):  # noqa: BLE001
        return 1


def scope_of(state: State, block: BlockState) -> dict[str, JsonValue]:
    """What an expression may name. `steps` has the latest settled execution of each step of the block."""
    scope: dict[str, JsonValue] = {
        "input": state.input,
        "steps": block.latest,
        "iteration": block.iteration,
        "signals": {signal.name: signal.payload for signal in state.signals} if state.signals else {},
        "task": state.task,
    }
    if block.results:
        scope["last"] = block.results[-1].output
    if block.path:
        _add_surroundings(state, block.path, scope)
    return scope


def _add_surroundings(state: State, path: StepPath, scope: dict[str, JsonValue]) -> None:
    """What a block sees of what is around it: the item that it is for, and the failure or end that it deals with."""
    for depth in range(len(path), 0, -1):
        name, number = path[depth - 1]
        around = state.blocks.get(StepPath(path[: depth - 1]))
        if name == ITEM and "item" not in scope and around is not None:
            _add_item(around, number, scope)
        elif name[0] == "@" and "failure" not in scope and around is not None:
            scope["failure"] = failure_shown(state, around)
            if depth == len(path) and name != COMPENSATE:
                scope["steps"] = {**_ended(state, around), **_steps(scope)}
            elif name == COMPENSATE:
                _add_undone(state, state.undoable[-number], scope, is_near=depth == len(path))


def _ended(state: State, block: BlockState) -> JsonObject:
    """The latest execution of each step of the block, those included that failed or were cancelled."""
    ended: dict[str, JsonObject] = {**block.latest}
    for path in block.children:
        name, number = path[-1]
        child = state.executions.get(path) or state.blocks[path]
        if name[0] != "@" and child.phase in (Phase.FAILED, Phase.CANCELLED):
            known = ended.get(name)
            if known is None or cast(int, known["iteration"]) < number:
                ended[name] = {"output": None, "status": child.phase.value, "iteration": number}
    return ended


def _add_undone(state: State, path: StepPath, scope: dict[str, JsonValue], *, is_near: bool) -> None:
    around, of = state.blocks[path.parent], state.executions.get(path) or state.blocks[path]
    if is_near:
        own: JsonObject = {"output": of.output, "status": "succeeded", "iteration": path.number}
        name = path.step if path.step != ITEM else path.parent.step
        latest = around.latest if path.step != ITEM else state.blocks[path.parent.parent].latest
        scope["steps"] = {**latest, name: own, **_steps(scope)}
    scope["iteration"] = path.number
    if path.step == ITEM:
        _add_item(around, path.number, scope)
    elif path.parent:
        _add_surroundings(state, path.parent, scope)


def _add_item(around: BlockState, number: int, scope: dict[str, JsonValue]) -> None:
    if isinstance(around.input, Sequence) and not isinstance(around.input, str):
        scope["item"], scope["index"] = around.input[number - 1], number - 1


def _steps(scope: Mapping[str, JsonValue]) -> JsonObject:
    steps = scope["steps"]
    return steps if isinstance(steps, Mapping) else {}


def failure_shown(state: State, block: BlockState) -> JsonValue:
    """Why a block fails, or is cancelled, as expressions see it; None when it does not."""
    if block.failure is not None:
        failure = block.failure
        return {"code": failure.code.value, "message": failure.message, "details": failure.details}
    if block.ending != "cancelled":
        return None
    if isinstance(state.stop, DeadlinePassed):
        return {"code": "timeout", "message": OVERDUE, "details": {}}
    reason = state.stop.reason if state.stop is not None else "its surroundings have ended"
    return {"code": "cancelled", "message": reason, "details": {}}


def sees_failures(node: Block, rules: Rules) -> bool:
    """Whether who coordinates the block wants to see its failures, and decides what becomes of it."""
    if node.foreach is not None:
        return node.foreach.join != "all"
    if node.strategy == SINGLE:
        return False
    try:
        return bool(rules.strategy(node.strategy).sees_failures)
    # Foreign code. What is wrong with it is said when nothing is open any more and it has to be asked.
    except (Exception, SystemExit):  # noqa: BLE001
        return False


def block_node(state: State, path: StepPath) -> Block:
    """What the document says of the block at `path`."""
    node = state.node(path)
    if not isinstance(node, Block):
        raise KeyError(f"{path} is not a block")
    return node
