"""The plans of a block: what its planner wrote, read as lists of steps with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from agentplat import BlockView, JsonValue, Settled

Plan = tuple[Mapping[str, JsonValue], ...]


def read_plan(output: JsonValue, place: int) -> Plan | None:
    """The steps that a planner's output lists, each with a name; None when it is no plan.

    Only the form is looked at here; whether the steps are right is the compiler's business.
    """
    listed = output.get("steps", output.get("result")) if isinstance(output, Mapping) else output
    if not isinstance(listed, list | tuple) or not all(isinstance(step, Mapping) for step in listed):
        return None
    prefix = "step" if place == 1 else f"plan_{place}_step"
    return tuple({"name": f"{prefix}_{number}", **step} for number, step in enumerate(listed, 1) if step)


def names_of(plan: Plan) -> tuple[str, ...]:
    """The names of a plan's steps."""
    return tuple(str(step["name"]) for step in plan)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the steps of the newest plan are."""

    ready: tuple[str, ...]  # to start now
    ended: Mapping[str, Settled]

    @property
    def failures(self) -> tuple[Settled, ...]:
        return tuple(execution for execution in self.ended.values() if execution.status == "failed")


def progress(block: BlockView, names: Sequence[str]) -> Progress:
    """What of the plan has ended and what is ready: a step of which all needs have ended, and some succeeded.

    Raises ValueError when steps need each other.
    """
    latest = {execution.step: execution for execution in block.settled}
    needs = {step: block.needs.get(step, ()) for step in names}
    try:
        order = [step for step in TopologicalSorter(needs).static_order() if step in needs]
    except CycleError as error:
        raise ValueError(", ".join(error.args[1])) from None
    waited_for = {step for step in names if step not in latest}
    ready: set[str] = set()
    for step in order:
        if step in latest or step in block.open:
            continue
        if any(need in waited_for for need in needs[step]):
            continue
        if not needs[step] or any(need in latest and latest[need].status == "succeeded" for need in needs[step]):
            ready.add(step)
        else:
            waited_for.discard(step)  # nothing leads to it any more
    ended = {step: latest[step] for step in latest if step in needs}
    return Progress(tuple(step for step in names if step in ready), ended)
