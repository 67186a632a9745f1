"""A block's strategy is asked, and what it says is carried out. It is foreign code, and may say anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from agentplat.domain.commands import Command, ExpandBlock, FailBlock, FinishBlock, StopBlock
from agentplat.domain.errors import StepError
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.interpreter.ending import end
from agentplat.domain.interpreter.rules import Rules, scope_of
from agentplat.domain.interpreter.starting import start
from agentplat.domain.json import JsonObject, JsonValue, storable_text
from agentplat.domain.state import BlockState, Phase, State
from agentplat.domain.strategy import BlockView, Decision, Expand, Fail, Finish, Start, Wait, checked
from agentplat.domain.workflow import SINGLE, Block

MAX_EXECUTIONS = 1_000
"""Executions that one block may start; a strategy without an end fails its block there.

Each is looked at for every later decision, so the work grows with the square; if all are skipped it is done in one go.
"""


def consult(state: State, block: BlockState, node: Block, rules: Rules) -> Iterator[Command]:
    """What the block's strategy wants."""
    decision = _ask_safely(state, block, node, rules)
    closing = block.phase is Phase.CANCELLING
    if block.open and isinstance(decision, Finish | Fail):
        # What is under way is cancelled first; then the strategy is asked again.
        yield StopBlock(path=block.path)
        return
    match decision:
        case Finish():
            yield end(state, block, node, FinishBlock(path=block.path, output=decision.output))
        case Fail():
            yield end(state, block, node, FailBlock(path=block.path, failure=decision.failure))
        case Start() | Wait() | _Plan() if closing:
            yield _fail(state, block, node, f"strategy {node.strategy!r} finished its block and then asked for more")
        case Wait():
            if not block.open:
                message = f"strategy {node.strategy!r} waits, but nothing of its block is under way"
                yield _fail(state, block, node, message)
        case Start():
            yield from start(state, block, node, decision, rules)
        case _Plan():
            yield ExpandBlock(path=block.path, steps=decision.steps)
        case _:
            assert_never(decision)


@dataclass(frozen=True, slots=True)
class _Plan:
    """An Expand whose steps the compiler has taken."""

    steps: Sequence[JsonObject]


def _ask_safely(state: State, block: BlockState, node: Block, rules: Rules) -> Start | Wait | _Plan | Finish | Fail:
    try:
        try:
            decision = checked(_ask(state, block, node, rules), node)
            if isinstance(decision, Expand):
                return _plan(block, node, decision, rules)
        except StepError as error:
            decision = checked(Fail(error.failure.message, error.failure.code, error.failure.details), node)
    # A strategy is foreign code: whatever it raises fails its block and nothing else, the end of its process included.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return Fail(f"strategy {node.strategy!r} failed: {_words_of(error)}")
    assert not isinstance(decision, Expand)
    if isinstance(decision, Start) and len(block.children) + len(decision.steps) > MAX_EXECUTIONS:
        return Fail(f"strategy {node.strategy!r} wants more than {MAX_EXECUTIONS} executions in one block")
    return decision


def _plan(block: BlockState, node: Block, decision: Expand, rules: Rules) -> _Plan | Fail:
    if block.expansions >= node.max_iterations:
        most = node.max_iterations
        return Fail(f"strategy {node.strategy!r} plans again, and `max_iterations` of its block is {most}")
    steps = rules.validate_steps(decision.steps, node)
    if len(node.steps) + len(steps) > MAX_EXECUTIONS:
        message = f"strategy {node.strategy!r} plans more than {MAX_EXECUTIONS} steps in one block"
        return Fail(message, FailureCode.INVALID_OUTPUT)
    return _Plan(steps)


def _words_of(error: BaseException) -> str:
    try:
        text = str(error)
    # The text of a foreign exception is foreign code, too.
    except (Exception, SystemExit):  # noqa: BLE001
        text = "(its text cannot be had)"
    return storable_text(f"{type(error).__name__}: {text}")[:2_000]


def _fail(state: State, block: BlockState, node: Block, message: str) -> Command:
    failure = Failure(code=FailureCode.AGENT_FAILED, message=message)
    return end(state, block, node, FailBlock(path=block.path, failure=failure))


def _asks_for_what_comes(error: StepError, block: BlockState, node: Block) -> bool:
    """Whether what could not be evaluated names a step of the block that has not had its first turn yet."""
    undefined = error.failure.details.get("undefined")
    return any(undefined == f"steps.{name}" for name in node.names if name not in block.latest)


def _ask(state: State, block: BlockState, node: Block, rules: Rules) -> Decision:
    if node.strategy == SINGLE:
        if not block.settled:
            return Start(node.steps[0].name, input=block.input)
        return Finish(block.results[-1].output)

    def converged(output: JsonValue) -> bool:
        if node.until is not None:
            try:
                return rules.truth(node.until, scope_of(state, block))
            except StepError as error:
                if _asks_for_what_comes(error, block, node):
                    return False
                raise
        return node.convergence_check is not None and rules.check(node.convergence_check, output, node.options)

    view = BlockView(
        steps=node.names,
        input=block.input,
        settled=block.results if isinstance(block.results, tuple) else tuple(block.results),
        open=tuple([path.step for path in block.open]),
        max_iterations=node.max_iterations,
        options=node.options,
        converged=converged,
        needs=node.needed,
        step_options=node.told,
        planned=block.planned,
        revision=block.revision,
        evaluate=lambda template: rules.evaluate(template, scope_of(state, block)),
    )
    return rules.strategy(node.strategy).decide(view)
