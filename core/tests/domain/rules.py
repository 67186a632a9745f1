"""What the interpreter is handed in these tests: expressions of a few words, and strategies of every temper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import BlockView, Decision, Expand, Fail, Finish, Start, Strategy, Wait
from agentplat.domain.workflow import Block

TEMPLATES = ("$input", "$iteration", "$count", "$last", "$broken")
"""Texts that are evaluated; everything else stands for itself."""

CONDITIONS = ("yes", "no", "first", "fresh", "broken")
"""The last ones of both cannot be evaluated."""


def broken(what: str) -> StepError:
    return StepError(FailureCode.INVALID_INPUT, f"{what} cannot be evaluated")


class Watched(Strategy):
    """A strategy that writes down when it is asked against the contract."""

    def __init__(self, breaches: list[str]) -> None:
        self.breaches = breaches

    def decide(self, block: BlockView) -> Decision:
        if block.open and not self.consult_always:
            self.breaches.append(f"{self.name} was asked while {block.open} were open")
        return self.rule(block)

    def rule(self, block: BlockView) -> Decision:
        raise NotImplementedError


class Sequential(Watched):
    name = "sequential"

    def rule(self, block: BlockView) -> Decision:
        done = len(block.settled)
        if done == len(block.steps):
            return Finish(block.settled[-1].output)
        return Start(block.steps[done], input=block.input if done == 0 else {"previous": block.settled[-1].output})


class IterativeRefinement(Watched):
    name = "iterative_refinement"

    def rule(self, block: BlockView) -> Decision:
        rounds, place = divmod(len(block.settled), len(block.steps))
        last = block.settled[-1].output if block.settled else None
        if place == 0 and rounds > 0 and (block.converged(last) or rounds >= block.max_iterations):
            return Finish({"iterations": rounds, "last": last})
        return Start(block.steps[place], input={"given": block.input, "previous": last})


class Parallel(Watched):
    """All steps at once; `join` is `all` or `any`. Starts what is missing, so that half a start does it no harm."""

    name = "parallel"
    consult_always = True

    def rule(self, block: BlockView) -> Decision:
        if block.settled and block.options.get("join") == "any":
            return Finish(block.settled[0].output)
        missing = [step for step in block.steps if not block.count(step) and step not in block.open]
        if missing:
            return Start(*missing, input=block.input)
        return Wait() if block.open else Finish({done.step: done.output for done in block.settled})


class Patient(Parallel):
    """Parallel with `join: all` that is asked only when nothing is open."""

    name = "patient"
    consult_always = False


class Window(Watched):
    """All steps, at most two at a time."""

    name = "window"
    consult_always = True

    def rule(self, block: BlockView) -> Decision:
        missing = [step for step in block.steps if not block.count(step) and step not in block.open]
        free = missing[: max(0, 2 - len(block.open))]
        if free:
            return Start(*free, input=block.input)
        return Wait() if block.open else Finish(len(block.settled))


class Lottery(Watched):
    """Decides at random, which is to say by a checksum of all that it sees: every pattern of starts comes up."""

    name = "lottery"

    def rule(self, block: BlockView) -> Decision:
        seen = [(done.step, done.number, done.status) for done in block.settled]
        draw = crc32(repr((block.steps, seen, block.open, block.options.get("salt"))).encode())
        if len(block.settled) + len(block.open) >= 5 or (block.settled and draw % 4 == 0):
            return Finish({"settled": len(seen)})
        if draw % 61 == 1:
            return Fail("an unlucky draw", FailureCode.REFUSED, {"draw": draw})
        if block.open and draw % 3:
            return Wait()
        chosen = [step for index, step in enumerate(block.steps) if draw >> (4 + index) & 1]
        again = [block.steps[0]] if draw >> 12 & 1 else []
        return Start(*(chosen or block.steps[:1]), *again, input=draw)


class EagerLottery(Lottery):
    name = "eager_lottery"
    consult_always = True


class Forgiving(Watched):
    """All steps at once, and what failed is none of its business until nothing was good."""

    name = "forgiving"
    consult_always = True
    sees_failures = True

    def rule(self, block: BlockView) -> Decision:
        missing = [step for step in block.steps if not block.count(step) and step not in block.open]
        if missing:
            return Start(*missing, input=block.input)
        if block.open:
            return Wait()
        if all(done.status == "failed" for done in block.settled):
            return Fail("nothing was good", FailureCode.REFUSED)
        return Finish({done.step: done.failure.code.value if done.failure else done.output for done in block.settled})


class Planner(Watched):
    """Runs what there is in order, and plans two steps more after it, as often as it may."""

    name = "planner"

    def rule(self, block: BlockView) -> Decision:
        done, plans = len(block.settled), len(block.planned) // 2
        if done < len(block.steps):
            return Start(block.steps[done], input=list(block.needs.get(block.steps[done], ())))
        greedy = block.options.get("salt", 0) in range(60, 80)
        if greedy or (block.options.get("join") == "all" and plans < block.max_iterations):
            return Expand([planned(f"p{plans}"), planned(f"q{plans}", needs=[f"p{plans}"])])
        return Finish(list(block.planned))


def planned(name: str, **rest: JsonValue) -> JsonObject:
    """A step in its normal form."""
    retry: JsonObject = {"max_attempts": 2, "backoff": "linear", "initial": 1, "max": 1, "on": ["retryable"]}
    return {"name": name, "agent": "writer", "timeout": 60, "retry": retry, **rest}


STRATEGIES: tuple[type[Watched], ...] = (
    Sequential,
    IterativeRefinement,
    Parallel,
    Patient,
    Window,
    Lottery,
    EagerLottery,
    Forgiving,
    Planner,
)


class FakeRules:
    """Pure, like the real ones. `breaches` of the contract of strategies are read by the laws."""

    def __init__(self, *others: Strategy) -> None:
        self.breaches: list[str] = []
        known: list[Strategy] = [strategy(self.breaches) for strategy in STRATEGIES]
        self.strategies = {strategy.name: strategy for strategy in (*known, *others)}

    def decides(self, task_id: str) -> None: ...

    def evaluate(self, template: JsonValue, scope: Mapping[str, JsonValue]) -> JsonValue:
        steps = scope["steps"]
        assert isinstance(steps, Mapping)
        match template:
            case Mapping():
                return {key: self.evaluate(value, scope) for key, value in template.items()}
            case "$input" | "$iteration":
                return scope[template[1:]]
            case "$count":
                return len(steps)
            case "$last":
                return [{"of": name, **step} for name, step in steps.items() if isinstance(step, Mapping)][-1:]
            case "$item" | "$index":
                if template[1:] not in scope:
                    raise broken(template)
                return scope[template[1:]]
            case "$broken":
                raise broken(template)
            case _:
                return template

    def truth(self, expression: str, scope: Mapping[str, JsonValue]) -> bool:
        match expression:
            case "first":
                return scope["iteration"] == 1
            case "fresh":
                return not scope["steps"]
            case "broken":
                raise broken(expression)
            case _:
                return expression == "yes"

    def strategy(self, name: str) -> Strategy:
        return self.strategies[name]

    def check(self, name: str, output: JsonValue, options: Mapping[str, JsonValue]) -> bool:
        score = output.get("score") if isinstance(output, Mapping) else None
        least = options.get("threshold", 3)
        return name == "good" and isinstance(score, int) and isinstance(least, int) and score >= least

    def validate_steps(self, steps: JsonValue, block: Block) -> Sequence[JsonObject]:
        read = [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list) else []
        if not read or any(step.get("name") in block.names for step in read):
            raise StepError(FailureCode.INVALID_OUTPUT, "no plan", details={"diagnostics": ["plan:1:1: no"]})
        return read
