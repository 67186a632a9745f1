"""The strategy `router`: a step or an expression says which of the other steps run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat import (
    BlockView,
    Decision,
    Fail,
    FailureCode,
    Finish,
    JsonValue,
    Settled,
    Start,
    StepError,
    Strategy,
    Way,
)
from agentplat_strategy_graph.joins import outputs_in_order


class Router(Strategy):
    """Runs the chosen branches at once, on the block's input.

    The option `route` is an expression that gives the choice; without it the first step is asked, and the other ones
    are the branches. A choice that cannot be read leads to the `default` branch, is asked for again, or is a failure.
    """

    name = "router"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        routes = _routes(block)
        by_expression = "route" in block.options
        ran = [execution for execution in block.settled if by_expression or execution.step != block.steps[0]]
        if ran:
            return _end(block, ran)
        if by_expression:
            return _go(block, routes, block.evaluate(block.options["route"]), asked=None)
        asker = block.steps[0]
        answers = [execution for execution in block.settled if execution.step == asker]
        if not answers:
            return Start(asker, input=block.input)
        return _go(block, routes, _field_of(block, answers[-1].output), asked=len(answers))

    def most_of(self, step: str, block: BlockView) -> int:
        """Each branch runs once at most; the choosing step once, and as often again as it may be asked."""
        return 1 + (_number(block, "ask_again") if step == block.steps[0] else 0)

    def ways(self, block: BlockView) -> list[Way]:
        """To each branch, labelled with the choices that lead there."""
        routes, asker = _routes(block), None if "route" in block.options else block.steps[0]
        ways = [] if asker is None else [Way(None, asker)]
        if asker is not None and _number(block, "ask_again"):
            ways.append(Way(asker, asker, f"asked again, at most {_number(block, 'ask_again')} times", again=True))
        for branch in block.steps if asker is None else block.steps[1:]:
            labels = [label for label, to in routes.items() if branch in to]
            labels += ["anything else"] if block.options.get("default") == branch else []
            if labels:
                ways += [Way(asker, branch, " or ".join(labels)), Way(branch, None)]
        return ways


def _routes(block: BlockView) -> dict[str, tuple[str, ...]]:
    """The branches that each label stands for; without `routes` every branch is its own label."""
    branches = block.steps if "route" in block.options else block.steps[1:]
    said = block.options.get("routes")
    routes: dict[str, tuple[str, ...]]
    if said is None:
        routes = {branch: (branch,) for branch in branches}
    elif isinstance(said, Mapping):
        routes = {label: tuple(map(str, to if isinstance(to, list | tuple) else [to])) for label, to in said.items()}
    else:
        raise StepError(FailureCode.INVALID_INPUT, f"`routes` is {said!r}; it has to map labels to steps.")
    default = block.options.get("default")
    named = {branch for to in routes.values() for branch in to} | ({str(default)} if default is not None else set())
    unknown = sorted(named - set(branches))
    if unknown or not branches:
        wrong = f"names {unknown[0]!r}, which is no branch" if unknown else "has no branch"
        message = f"The router {wrong}; its branches are {list(branches)}."
        raise StepError(FailureCode.INVALID_INPUT, message)
    return routes


def _field_of(block: BlockView, output: JsonValue) -> JsonValue:
    """The choice in the output of the step that was asked."""
    if not isinstance(output, Mapping):
        return output
    field = block.options.get("field", "route")
    return output.get(str(field), output.get("result"))


def _go(block: BlockView, routes: Mapping[str, tuple[str, ...]], choice: JsonValue, *, asked: int | None) -> Decision:
    several = block.options.get("several") is True
    labels = list(choice) if several and isinstance(choice, list | tuple) else [choice]
    known = [_known(label, routes) for label in labels]
    wrong = [label for label, found in zip(labels, known, strict=True) if found is None]
    if not wrong:
        chosen = {branch for label in known if label is not None for branch in routes[label]}
        if not chosen:
            return _end(block, [])
        return Start(*[step for step in block.steps if step in chosen], input=block.input)
    default = block.options.get("default")
    if default is not None:
        return Start(str(default), input=block.input)
    allowed = list(routes)
    problem = f"The choice {wrong[0]!r} is none of {', '.join(allowed)}."
    if asked is not None and asked <= _number(block, "ask_again"):
        return Start(block.steps[0], input=_asked_again(block, problem, allowed))
    hint = "say `default`, `ask_again`, or `field` if the choice stands elsewhere"
    return Fail(f"{problem[:-1]}; {hint}.", FailureCode.INVALID_OUTPUT, {"allowed": allowed, "got": wrong[0]})


def _known(label: JsonValue, routes: Mapping[str, object]) -> str | None:
    """The label as it is written in the document; models are free with capitals."""
    if not isinstance(label, str):
        return None
    said = label.strip()
    if said in routes:
        return said
    alike = [known for known in routes if known.casefold() == said.casefold()]
    return alike[0] if len(alike) == 1 else None


def _asked_again(block: BlockView, problem: str, allowed: Sequence[str]) -> JsonValue:
    given = block.input
    fields = given if isinstance(given, Mapping) else {} if given is None else {"input": given}
    return {**fields, "problem": problem, "allowed": list(allowed)}


def _end(block: BlockView, ran: Sequence[Settled]) -> Finish:
    """By name where several may run; otherwise what the only one gave, or nothing where it was skipped."""
    outputs = outputs_in_order(block, ran)
    if block.options.get("several") is True or len(ran) > 1:
        return Finish(outputs)
    return Finish(next(iter(outputs.values()), None))


def _number(block: BlockView, option: str) -> int:
    value = block.options.get(option, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
