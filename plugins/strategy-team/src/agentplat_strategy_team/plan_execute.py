"""The strategy `plan_execute`: a planner writes the steps, they run, and it may plan anew."""

from __future__ import annotations

from collections.abc import Sequence

from agentplat import (
    BlockView,
    Decision,
    Expand,
    Fail,
    FailureCode,
    Finish,
    JsonValue,
    Settled,
    Start,
    StepError,
    Strategy,
    Wait,
    Way,
)
from agentplat_strategy_team.choices import failed, number, text, with_fields
from agentplat_strategy_team.plans import Plan, Progress, names_of, progress, read_plan


class PlanExecute(Strategy):
    """The first step's output is a list of steps, or has one as `steps`. They run as their `needs` allow.

    When a planned step fails the planner is asked for another plan, with what has been done; with `replan: always` also
    when all went well, until it plans nothing more. There are `max_iterations` plans at most. A second step of the
    document closes the block: it gets the `results`, and its output is that of the block.
    """

    name = "plan_execute"
    revision = 1
    consult_always = True
    sees_failures = True

    def decide(self, block: BlockView) -> Decision:
        planner, *closing = block.steps[: len(block.steps) - len(block.planned)]
        if len(closing) > 1:
            message = f"plan_execute takes a planner and one closing step at most; it has {[planner, *closing]}."
            raise StepError(FailureCode.INVALID_INPUT, message)
        closed = [execution for execution in block.settled if execution.step in closing]
        if closed:
            return failed(closed[0]) if closed[0].status == "failed" else Finish(closed[0].output)
        asked = [execution for execution in block.settled if execution.step == planner]
        if not asked or planner in block.open:
            return Wait() if block.open else Start(planner, input=block.input)
        if asked[-1].status == "failed":
            return failed(asked[-1])
        plans = _plans(asked)
        if asked[-1] is not plans.last:
            return _ask_again(block, planner, asked[-1].output, plans)
        if plans.clash:
            message = f"The plan names the step {plans.clash!r}, which an earlier plan has; each name is used once."
            return Fail(message, FailureCode.INVALID_OUTPUT, {"taken": list(plans.taken)})
        return self._go_on(block, planner, closing, plans)

    def _go_on(self, block: BlockView, planner: str, closing: Sequence[str], plans: _Plans) -> Decision:
        names = names_of(plans.newest)
        if any(name not in block.planned for name in names):
            return Expand([dict(step) for step in plans.newest])
        try:
            now = progress(block, names)
        except ValueError as error:
            return Fail(f"The planned steps {error} need each other.", FailureCode.INVALID_OUTPUT)
        left = block.max_iterations - plans.count
        replan = text(block, "replan", "on_failure")
        if now.failures and (replan == "never" or left <= 0):
            return failed(now.failures[0])
        if now.failures and not block.open:
            return Start(planner, input=_known_so_far(block, plans, left))
        if now.failures:
            return Wait()  # what is under way may still be of use to the next plan
        if now.ready:
            return _start(block, now)
        if block.open:
            return Wait()
        if names and replan == "always" and left > 0:
            return Start(planner, input=_known_so_far(block, plans, left))
        return _end(block, closing, plans, ran_out=bool(names) and replan == "always")

    def most_executions(self, block: BlockView) -> int | None:  # noqa: ARG002 - as the others
        """It depends on the plans."""
        return None

    def most_of(self, step: str, block: BlockView) -> int | None:  # noqa: ARG002 - as the others
        """It depends on the plans, too."""
        return None

    def ways(self, block: BlockView) -> list[Way]:
        """What is planned has no names yet; it is what happens on the ways from the planner."""
        planner, *closing = block.steps[: len(block.steps) - len(block.planned)]
        after = closing[0] if closing else None
        when = {"never": "", "always": "each time"}.get(text(block, "replan", "on_failure"), "when one failed")
        again = f"the planned steps, and another plan {when}, at most {block.max_iterations} plans"
        replans = [Way(planner, planner, again, again=True)] if when and block.max_iterations > 1 else []
        closes = [Way(after, None)] if after is not None else []
        return [Way(None, planner), *replans, Way(planner, after, "the planned steps"), *closes]


class _Plans:
    """All plans that were written, the newest one last."""

    def __init__(self) -> None:
        self.last: Settled | None = None  # the planner's execution that wrote the newest plan
        self.newest: Plan = ()
        self.count = 0
        self.taken: tuple[str, ...] = ()  # names of the steps of earlier plans
        self.clash: str | None = None
        self.in_vain = 0  # how often the planner was asked since


def _plans(asked: Sequence[Settled]) -> _Plans:
    plans = _Plans()
    for execution in asked:
        plan = read_plan(execution.output, plans.count + 1) if execution.status == "succeeded" else ()
        plans.in_vain += 1
        if plan is None:
            continue
        plans.taken += names_of(plans.newest)
        plans.clash = next((name for name in names_of(plan) if name in plans.taken), None)
        plans.last, plans.newest, plans.count, plans.in_vain = execution, plan, plans.count + 1, 0
    return plans


def _ask_again(block: BlockView, planner: str, output: JsonValue, plans: _Plans) -> Decision:
    problem = "A plan is a list of steps, or an object with such a list as `steps`; every step is an object."
    if plans.in_vain <= number(block, "ask_again", 0):
        return Start(planner, input={**_known_so_far(block, plans, None), "problem": problem})
    message = f"{planner!r} wrote no plan. {problem} Say so in its prompt, or let it be asked again with `ask_again`."
    return Fail(message, FailureCode.INVALID_OUTPUT, {"step": planner, "allowed": ["list of steps"], "got": output})


def _known_so_far(block: BlockView, plans: _Plans, left: int | None) -> dict[str, JsonValue]:
    """What a planner is told when it plans anew."""
    failures = [execution for execution in block.settled if execution.failure is not None]
    told: list[JsonValue] = [
        {"step": one.step, "code": str(one.failure.code), "message": one.failure.message}
        for one in failures
        if one.failure is not None
    ]
    taken: list[JsonValue] = [*plans.taken, *names_of(plans.newest)]
    fields = with_fields(block.input, results=_results(block), failures=told, taken=taken)
    return fields if left is None else {**fields, "plans_left": left}


def _results(block: BlockView) -> dict[str, JsonValue]:
    """What the planned steps gave, of all plans."""
    given = {one.step: one.output for one in block.settled if one.status == "succeeded"}
    return {step: given[step] for step in block.planned if step in given}


def _start(block: BlockView, now: Progress) -> Start:
    """Those that need nothing together; otherwise one, because each is given what its own needs gave."""
    first = [step for step in now.ready if not block.needs.get(step)]
    if first:
        return Start(*first, input=block.input)
    step = now.ready[0]
    given = {one.step: one.output for one in block.settled if one.status == "succeeded"}
    return Start(step, input={need: given[need] for need in block.needs[step] if need in given})


def _end(block: BlockView, closing: Sequence[str], plans: _Plans, *, ran_out: bool) -> Decision:
    status = "completed_max_iterations" if ran_out else "completed"
    if closing:
        return Start(closing[0], input=with_fields(block.input, results=_results(block), status=status))
    return Finish({"status": status, "results": _results(block), "plans": plans.count})
