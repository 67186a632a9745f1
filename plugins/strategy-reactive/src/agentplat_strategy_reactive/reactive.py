"""The strategy `reactive`: steps wait for facts on the block's blackboard, until nothing changes any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentplat import BlockView, Decision, FailureCode, Finish, JsonValue, Settled, Start, StepError, Strategy, Way
from agentplat_strategy_reactive.facts import Blackboard

DEFAULT_TURNS = 50


class Reactive(Strategy):
    """The fields of the block's input and of its steps' outputs are facts. A step says `on` which of them it runs.

    It runs when all of them are there and another step changed one. Those that are due run at once; what they give is
    written when all have ended, in the order of the document. A step that says an expression runs alone, when no other
    is due, it holds, and it has not run yet or some fact has changed. A step without `on` runs once. The block ends
    when nobody is due, its `until` or check holds for the facts, or `max_turns` executions are over.
    """

    name = "reactive"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        steps = [_Subscriber(step, *_subscription(block, step)) for step in block.steps]
        board = Blackboard(block.input)
        settled = list(block.settled)
        while settled:
            # The past follows from what the steps gave: who was due then is who ran.
            due = _due(board, steps) or [_by_name(steps, settled[0].step)]
            ran, settled = settled[: len(due)], settled[len(due) :]
            for subscriber in due:
                subscriber.seen, subscriber.times = board.changes, subscriber.times + 1
            for execution in sorted(ran, key=lambda one: block.steps.index(one.step)):
                board.write(execution.step, _facts_of(block, execution))
        return _next(block, board, steps)

    def most_executions(self, block: BlockView) -> int:
        """As many as there are turns."""
        return _turns(block)

    def most_of(self, step: str, block: BlockView) -> int:
        """A step that waits for nothing runs once."""
        names, expression = _subscription(block, step)
        return _turns(block) if names or expression is not None else 1

    def ways(self, block: BlockView) -> list[Way]:
        """From whoever is known to write a fact to those that are `on` it; from the beginning where nobody is."""
        ways: list[Way] = []
        for place, step in enumerate(block.steps):
            names, expression = _subscription(block, step)
            for name in names:
                writers = [one for one in block.steps if one != step and _fact_of(block, one) == name]
                ways += [Way(one, step, name, again=block.steps.index(one) > place) for one in writers]
                ways += [] if writers else [Way(None, step, name)]
            if not names:
                ways.append(Way(None, step, "" if expression is None else str(expression)))
        read = {way.source for way in ways}
        last = [step for step in block.steps if step not in read] or block.steps
        begun = [] if any(way.source is None for way in ways) else [Way(None, step) for step in block.steps]
        return [*begun, *ways, *(Way(step, None) for step in last)]


@dataclass(slots=True)
class _Subscriber:
    step: str
    names: tuple[str, ...] = ()
    expression: JsonValue = None
    seen: int = field(default=-1, init=False)  # the change up to which it knew the facts when it last ran
    times: int = field(default=0, init=False)


def _next(block: BlockView, board: Blackboard, steps: list[_Subscriber]) -> Decision:
    left = _turns(block) - len(block.settled)
    if block.settled and block.converged(board.facts):
        return _end("completed_converged", block, board)
    due = _due(board, steps)
    if not due:
        due = [
            one
            for one in steps
            if one.expression is not None
            and (one.times == 0 or board.changed_by_others(one.step, one.seen))
            and block.evaluate(one.expression) is True
        ][:1]
    if not due:
        return _end("completed_settled", block, board)
    if len(due) > left:
        return _end("completed_max_turns", block, board)
    return Start(*[one.step for one in due], input=dict(board.facts))


def _due(board: Blackboard, steps: list[_Subscriber]) -> list[_Subscriber]:
    """Those that wait for names and have news; those that wait for nothing and have not run."""
    return [
        one
        for one in steps
        if one.expression is None and (board.has_news(one.names, one.step, one.seen) if one.names else one.times == 0)
    ]


def _by_name(steps: list[_Subscriber], name: str) -> _Subscriber:
    return next(one for one in steps if one.step == name)


def _subscription(block: BlockView, step: str) -> tuple[tuple[str, ...], JsonValue]:
    """The facts that a step waits for, or the expression."""
    said = block.step_options.get(step, {}).get("on")
    if said is None:
        return (), None
    if isinstance(said, str):
        return ((), said) if "${{" in said else ((said,), None)
    if isinstance(said, list | tuple) and said and all(isinstance(name, str) for name in said):
        return tuple(map(str, said)), None
    message = f"`on` of {step!r} is {said!r}; it has to be a fact, a list of facts, or an expression in ${{{{ }}}}."
    raise StepError(FailureCode.INVALID_INPUT, message)


def _facts_of(block: BlockView, execution: Settled) -> Mapping[str, JsonValue]:
    """What a step writes: its whole output under its `as`; the fields of an object; or its output under its name."""
    if execution.status != "succeeded":
        return {}
    name = block.step_options.get(execution.step, {}).get("as")
    if name is not None:
        return {str(name): execution.output}
    return execution.output if isinstance(execution.output, Mapping) else {execution.step: execution.output}


def _fact_of(block: BlockView, step: str) -> str:
    """The fact that a step is known to write, whatever it gives."""
    return str(block.step_options.get(step, {}).get("as", step))


def _turns(block: BlockView) -> int:
    turns = block.options.get("max_turns", DEFAULT_TURNS)
    return max(1, turns) if isinstance(turns, int) and not isinstance(turns, bool) else DEFAULT_TURNS


def _end(status: str, block: BlockView, board: Blackboard) -> Finish:
    return Finish({"status": status, "facts": dict(board.facts), "turns": len(block.settled)})
