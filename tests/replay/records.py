"""Histories as they are kept: the workflow, its journal, and what `decide` asked for at each point of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from agentplat_testkit.simulation.world import Simulation

from agentplat.domain import interpreter, state
from agentplat.domain.events import decode, encode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter import Rules
from agentplat.domain.json import JsonObject
from agentplat.domain.tree import build

Record = Mapping[str, Any]


def recorded(name: str, normal_form: JsonObject, play: Simulation) -> Record:
    """A history that has been lived."""
    length = play.length
    return {
        "name": name,
        "workflow": normal_form,
        "journal": [
            [moment.isoformat(), *encode(event)]
            for event, moment in zip(play.journal[:length], play.moments, strict=False)
        ],
        "asked": {str(at): [_told(command) for command in said] for at, said in play.asked.items() if at <= length},
    }


def difference(record: Record, rules: Rules) -> str | None:
    """Where the code of today decides otherwise than that of the day of the record; None when it does not.

    Fields that commands have got since then do not count, as long as what was recorded is the same.
    """
    now = state.State(workflow=build(record["workflow"]))
    for length in range(len(record["journal"]) + 1):
        if length:
            moment, kind, content = record["journal"][length - 1]
            now = state.evolve(now, decode(kind, content), datetime.fromisoformat(moment))
        kept = record["asked"].get(str(length))
        if kept is None:
            continue
        said = [_told(command) for command in interpreter.decide(now, rules)]
        if len(said) != len(kept) or not all(map(_covers, said, kept)):
            return f"{record['name']}: after {length} events it was\n{_shown(kept)}\nand is now\n{_shown(said)}"
    return None


def _told(command: Any) -> dict[str, Any]:
    values = {one.name: _plain(getattr(command, one.name)) for one in fields(command)}
    return {"command": type(command).__name__, **values}


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    match value:
        case StepPath():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case Enum():
            return value.value
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _ if is_dataclass(value):
            return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        case _:
            return value


def _covers(now: Any, kept: Any) -> bool:
    """Whether everything that was recorded is still said."""
    if isinstance(kept, Mapping):
        return isinstance(now, Mapping) and all(key in now and _covers(now[key], kept[key]) for key in kept)
    if isinstance(kept, list):
        return isinstance(now, list) and len(now) == len(kept) and all(map(_covers, now, kept))
    return bool(now == kept) and isinstance(now, bool) is isinstance(kept, bool)


def _shown(commands: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(f"  {json.dumps(command, ensure_ascii=False)}" for command in commands) or "  nothing"
