"""Bounds as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterator

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.workflow import Workflow
from agentplat_analysis.amounts import QUANTITIES, Quantity, is_bounded
from agentplat_analysis.bounds import Bounds, Cause, Loop
from agentplat_analysis.reading import Written
from agentplat_analysis.words import duration, number

_WORDS: dict[Quantity, str] = {
    "executions": "step executions",
    "model_calls": "model calls",
    "tool_calls": "tool calls",
    "tokens": "tokens",
    "seconds": "time",
}
LOOP = ("foreach", "max_iterations", "strategy", "coordination_type")
"""The keys that make a loop of a step; the first that is there is where it stands."""


def as_text(bounds: Bounds, written: Written) -> Iterator[str]:
    """Lines for people."""
    yield _plain(f"The worst case of workflow {written.workflow.name} ({written.place(())}):")
    for quantity in QUANTITIES:
        if quantity == "seconds":
            yield f"  {'money':15}  {_money(bounds)}"
        loop = bounds.dominating.get(quantity)
        by = f"  dominated by {_named(loop.path)} ({loop.kind}; {written.place(loop.path, *LOOP)})" if loop else ""
        yield _plain(f"  {_WORDS[quantity]:15}  {_amount(quantity, bounds.most[quantity])}{by}")
    budget = written.workflow.budget
    if budget:
        said = ", ".join(f"{key} {value}" for key, value in sorted(budget.items()))
        yield f"The budget that it declares ({said}) is kept with it; nothing stops a task that exceeds it yet."
    for cause in bounds.causes:
        words = ", ".join(_WORDS[quantity] for quantity in cause.quantities)
        yield _plain(f"No bound on {words}: {_named(cause.path)} ({written.place(cause.path)}): {cause.reason}.")
    yield (
        "Steps count as executed one after another. Repetitions after a crash, pauses that a service asks for and the "
        "wait for a free worker are not counted."
    )


def as_json(bounds: Bounds, read: Written | Workflow) -> JsonObject:
    """One object for programs: `most` is null where there is no bound, and places where the document is not known."""
    file = read.document.file if isinstance(read, Written) else None
    workflow = read.workflow if isinstance(read, Written) else read
    found: dict[str, JsonValue] = {}
    for quantity in QUANTITIES:
        most, loop = bounds.most[quantity], bounds.dominating.get(quantity)
        found[quantity] = {
            "most": number(most) if is_bounded(most) else None,
            "dominated_by": _loop(loop, read) if loop else None,
            "causes": [_cause(cause, read) for cause in bounds.causes if quantity in cause.quantities],
        }
    is_known = bounds.cost is not None and is_bounded(bounds.cost)
    found["usd"] = {"most": bounds.cost if is_known else None, "unpriced": list(bounds.unpriced)}
    return {"workflow": workflow.name, "file": file, "bounds": found, "budget": workflow.budget}


def _loop(loop: Loop, read: Written | Workflow) -> JsonObject:
    return {"path": "/".join(loop.path), "place": _place(read, loop.path, *LOOP), "kind": loop.kind}


def _cause(cause: Cause, read: Written | Workflow) -> JsonObject:
    return {"path": "/".join(cause.path), "place": _place(read, cause.path), "reason": cause.reason}


def _place(read: Written | Workflow, path: tuple[str, ...], *keys: str) -> str | None:
    return read.place(path, *keys) if isinstance(read, Written) else None


def _named(path: tuple[str, ...]) -> str:
    return "/".join(path) or "the workflow"


def _money(bounds: Bounds) -> str:
    if bounds.cost is None:
        return f"unknown: no price of {', '.join(bounds.unpriced)}"
    if not is_bounded(bounds.cost):
        return "unbounded"
    return f"${bounds.cost:,.6f}".rstrip("0").rstrip(".")


def _amount(quantity: Quantity, amount: float) -> str:
    if not is_bounded(amount):
        return "unbounded"
    return duration(amount) if quantity == "seconds" else f"{number(amount):,}"


def _plain(line: str) -> str:
    """A document's own words are shown, and not obeyed."""
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
