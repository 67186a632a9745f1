"""JSON Schema, asked what stands at a path: as far as it says, and no further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.language.syntax import PathPart

_PLAIN = frozenset({"string", "number", "integer", "boolean", "null"})


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing can stand at the path: its part number `at` is not there."""

    at: int
    reason: str
    known: tuple[str, ...] = ()


def look_up(schema: JsonObject, path: Sequence[PathPart]) -> JsonObject | Missing | None:
    """The schema of what stands at `path`; None where the schema leaves that open."""
    here: JsonObject | None = schema
    for at, part in enumerate(path):
        here = _resolved(schema, here)
        if here is None or any(key in here for key in ("anyOf", "oneOf", "allOf", "if", "not", "patternProperties")):
            return None
        found = _child(here, part)
        if isinstance(found, Missing):
            return Missing(at, found.reason, found.known)
        here = found
    return None if here is None else _resolved(schema, here)


def _child(schema: JsonObject, part: PathPart) -> JsonObject | Missing | None:
    kind, properties = schema.get("type"), schema.get("properties")
    if isinstance(kind, str) and kind in _PLAIN:
        return Missing(0, f"a value of type {kind} has no parts")
    if kind == "array":
        items = schema.get("items")
        if isinstance(part, str):
            return Missing(0, "a list has numbered items and no names")
        return items if isinstance(items, Mapping) else None
    if not isinstance(properties, Mapping):
        return None
    if part in properties:
        found = properties[str(part)]
        return found if isinstance(found, Mapping) else None
    more = schema.get("additionalProperties", False)
    if more is False:
        return Missing(0, f"there is no `{part}`", tuple(map(str, properties)))
    return more if isinstance(more, Mapping) else None


def _resolved(whole: JsonObject, schema: JsonObject | None) -> JsonObject | None:
    """The schema itself, where it refers to another part of the whole one."""
    for _ in range(10):
        reference = schema.get("$ref") if schema is not None else None
        if not isinstance(reference, str):
            return schema
        found: JsonValue = whole
        for name in reference.removeprefix("#/").split("/"):
            found = found.get(name) if isinstance(found, Mapping) else None
        schema = found if isinstance(found, Mapping) else None
    return None
