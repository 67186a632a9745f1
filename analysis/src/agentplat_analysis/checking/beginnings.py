"""What a block's strategy does before anything has run: it is asked, as it will be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agentplat import FailureCode, JsonValue, StepError
from agentplat.domain.strategy import BlockView, Fail, Start, Strategy
from agentplat.domain.workflow import Block, Step
from agentplat.language.nodes import Node
from agentplat.language.references import place_of
from agentplat.language.steps import IN_ORDER
from agentplat.language.syntax import Expression, split
from agentplat_analysis.checking.kinds import texts

_INPUTS: tuple[JsonValue, ...] = (None, "a text", 7, [], ["a text"], {}, {"topic": "a text"})
"""What is said whatever the block is given, is said in every task."""


class _Unknown(Exception):
    """It depends on values that only a task has."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """`refused`: why the block fails in every task. `first`: the steps that begin it, in every task."""

    refused: str | None = None
    first: Collection[str] = ()


def beginning(block: Block, strategy: Strategy) -> Beginning:
    """As far as it is the same for every input."""
    found = {_asked(block, strategy, given) for given in _INPUTS}
    refused, first = found.pop()
    return Beginning(refused, first) if not found else Beginning()


def before(block: Block, begun: Beginning, step: str) -> frozenset[str]:
    """The steps of the block that cannot have ended when that one begins for the first time."""
    if block.strategy in IN_ORDER:
        return frozenset(block.names[block.names.index(step) :])
    return frozenset(block.names) if step in begun.first else frozenset()


def _asked(block: Block, strategy: Strategy, given: JsonValue) -> tuple[str | None, tuple[str, ...]]:
    view = BlockView(
        steps=block.names,
        input=given,
        settled=(),
        max_iterations=block.max_iterations,
        options=block.options,
        needs=block.needed,
        step_options=block.told,
        revision=strategy.revision,
        evaluate=_unknown,
    )
    try:
        decision = strategy.decide(view)
    except StepError as error:
        failure = error.failure
        return (failure.message if failure.code is FailureCode.INVALID_INPUT else None), ()
    except Exception:  # noqa: BLE001 - a strategy is foreign code; what it cannot do here it may do in a task
        return None, ()
    if isinstance(decision, Fail) and decision.code is FailureCode.INVALID_INPUT:
        return decision.message, ()
    return None, decision.steps if isinstance(decision, Start) else ()


def _unknown(_template: JsonValue) -> JsonValue:
    raise _Unknown


def refuse_early(node: Node, step: Step | Block, unfinished: Collection[str]) -> None:
    """Report outputs that nobody can have given when the step begins; what has a condition may begin later."""
    key = "when" if step.when is not None else "foreach" if "foreach" in node else None
    places = [node[key]] if key is not None else [node["input"], node["wait"], node["approval"], node["emit"]]
    for place in places:
        for found, template, _ in texts(place):
            for piece in split(template):
                if isinstance(piece, Expression) and piece.path is not None:
                    _refuse(found, piece, unfinished)


def _refuse(node: Node, expression: Expression, unfinished: Collection[str]) -> None:
    root, *path = expression.path or ()
    if root == "steps" and len(path) > 1 and path[0] in unfinished and path[1] == "output":
        text = f"`steps.{path[0]}.output` is not there when this step begins: `{path[0]}` has not ended then"
        hint = "put it before this step, or name it in `needs` of a `dag`"
        node.diagnostics.add(place_of(node, expression.offset), "unknown_value", text, hint)
