"""The strategy `dag`: a step starts when the steps that it needs have ended."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from agentplat import BlockView, Decision, Fail, FailureCode, Finish, JsonValue, Settled, Start, Strategy, Wait
from agentplat_strategy_graph.joins import Join, failed, outputs_in_order, read_join


class ByNeeds(Strategy):
    """Starts whatever is ready. Each step runs once, or not at all where nothing leads to it.

    A step is ready when all that it needs has ended and some of it succeeded; its own `needed` may say otherwise.
    """

    name = "dag"
    revision = 1
    consult_always = True
    sees_failures = True

    def decide(self, block: BlockView) -> Decision:
        needs = {step: block.needs.get(step, ()) for step in block.steps}
        joins = {
            step: read_join(block.step_options.get(step, {}).get("needed"), len(needs[step]), "some", option="needed")
            for step in block.steps
            if needs[step]
        }
        ended = {execution.step: execution for execution in block.settled}
        for execution in ended.values():
            if execution.status == "failed" and not _is_borne(execution.step, needs, joins):
                return failed(execution)
        try:
            order = tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            message = f"The steps {', '.join(error.args[1])} need each other."
            return Fail(message, FailureCode.INVALID_INPUT)
        ready = _ready(block, order, needs, joins, ended)
        if ready:
            return _start(ready, block, needs, ended)
        return Wait() if block.open else _end(block, needs, ended)

    def most_of(self, step: str, block: BlockView) -> int:  # noqa: ARG002 - as the others
        """Each step runs once at most."""
        return 1


def _is_borne(step: str, needs: Mapping[str, tuple[str, ...]], joins: Mapping[str, Join]) -> bool:
    """Whether all that need the failed step can do without it; nobody at all is not enough."""
    takers = [taker for taker, needed in needs.items() if step in needed]
    return bool(takers) and all(joins[taker].bears_failures for taker in takers)


def _ready(
    block: BlockView,
    order: tuple[str, ...],
    needs: Mapping[str, tuple[str, ...]],
    joins: Mapping[str, Join],
    ended: Mapping[str, Settled],
) -> list[str]:
    """The steps that can start now, in the order of the document."""
    left_out: set[str] = set()  # to which nothing leads any more
    ready: set[str] = set()
    for step in order:
        if step in ended or step in block.open:
            continue
        succeeded = sum(1 for need in needs[step] if need in ended and ended[need].status == "succeeded")
        pending = sum(1 for need in needs[step] if need not in ended and need not in left_out)
        verdict = _verdict(joins.get(step), len(needs[step]), succeeded, pending)
        if verdict is True:
            ready.add(step)
        elif verdict is False:
            left_out.add(step)
    return [step for step in block.steps if step in ready]


def _verdict(join: Join | None, needed: int, succeeded: int, pending: int) -> bool | None:
    """Whether a step starts (True), never will (False), or has to wait (None)."""
    if join is None:
        return True
    match join.kind:
        case "any" | "n_of":
            least = join.least if join.kind == "n_of" else 1
            return True if succeeded >= least else False if succeeded + pending < least else None
        case "all" if succeeded + pending < needed:
            return False
        case _ if pending:
            return None
        case "settled":
            return True
        case _:
            return succeeded > 0


def _start(
    ready: list[str], block: BlockView, needs: Mapping[str, tuple[str, ...]], ended: Mapping[str, Settled]
) -> Start:
    """Those that need nothing together; otherwise one, because each is given what its own needs gave."""
    first = [step for step in ready if not needs[step]]
    if first:
        return Start(*first, input=block.input)
    step = ready[0]
    return Start(step, input={need: ended[need].output for need in needs[step] if _succeeded(ended.get(need))})


def _succeeded(execution: Settled | None) -> bool:
    return execution is not None and execution.status == "succeeded"


def _end(block: BlockView, needs: Mapping[str, tuple[str, ...]], ended: Mapping[str, Settled]) -> Decision:
    for execution in ended.values():
        # It was borne for the sake of steps of which, in the end, none came to run.
        if execution.status == "failed" and not any(execution.step in needs[step] for step in ended):
            return failed(execution)
    needed = {need for step in block.steps for need in needs[step]}
    last = [step for step in block.steps if step not in needed]
    if len(last) == 1:
        only = ended.get(last[0])
        return Finish(only.output if only is not None else None)
    outputs: JsonValue = outputs_in_order(block, (ended[step] for step in last if step in ended))
    return Finish(outputs)
