"""How a script names steps, and what it names that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agentplat.domain.events import BlockExpanded, Event
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import COMPENSATE, ITEM, Block, Step, Workflow
from agentplat.language.diagnostics import nearest

_NUMBER = re.compile(r"#[0-9]+|\[[0-9]+\]")


def names_of(path: StepPath) -> tuple[str, str, str]:
    """How a script may name an execution: `polish#2/critique`, `polish/critique` or `critique`.

    The items of a `foreach` go by the name of their step.
    """
    steps = [step for step, _ in path if step != ITEM]
    return str(path), "/".join(steps), steps[-1]


def strangers(named: Iterable[str], workflow: Workflow, journal: Iterable[Event] = ()) -> dict[str, str]:
    """Of these names those that no step has, of the document or of a plan; each with what is to be said of it."""
    places = dict(_places(workflow.root, ()))
    steps = [place for place, node in places.items() if isinstance(node, Step)]
    planned = {name for event in journal if isinstance(event, BlockExpanded) for name in _planned(event.steps)}
    last = {*planned, *(place.rpartition("/")[2] for place in steps)}
    found: dict[str, str] = {}
    for name in dict.fromkeys(named):
        plain = _NUMBER.sub("", name)
        if plain in steps or plain in last or plain.rpartition("/")[2] in planned:
            continue
        if plain in places:
            inner = next(place for place in steps if place.startswith(f"{plain}/"))
            found[name] = f"names the block `{name}`, which ends as its steps do; name one of them: `{inner}`"
        else:
            found[name] = f"names no step `{name}`; {nearest(plain, {*steps, *last})}"
    return found


def _places(block: Block, above: tuple[str, ...]) -> Iterator[tuple[str, Step | Block]]:
    handlers = [clause.block for clause in block.catch] + ([block.final] if block.final is not None else [])
    for step in (*block.steps, *handlers):
        path = above if step.name == ITEM else (*above, step.name)
        yield "/".join(path), step
        if isinstance(step, Block):
            yield from _places(step, path)
        if step.compensate is not None:
            yield from _places(step.compensate, (COMPENSATE,))


def _planned(forms: JsonValue) -> Iterator[str]:
    """The names in the normal forms of steps, and of the steps in them."""
    for form in forms if isinstance(forms, list | tuple) else []:
        if isinstance(form, dict):
            yield _NUMBER.sub("", str(form.get("name")))
            yield from _planned(form.get("steps"))
