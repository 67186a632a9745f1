"""Of which JSON type what an expression gives is, and whether a schema can take that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.language.nodes import Node
from agentplat.language.syntax import CLOSE, OPEN, Expression, Malformed, Mention, PathPart, parse, split
from agentplat.language.syntax import value_of as part_of
from agentplat_analysis.shapes import Missing, look_up

TEXT: JsonObject = {"type": "string"}
_NUMBER: JsonObject = {"type": "integer"}
OF_THE_SCOPE: JsonObject = {
    "type": "object",
    "properties": {
        "index": _NUMBER,
        "iteration": _NUMBER,
        "task": {"type": "object", "properties": {"id": TEXT, "tenant": TEXT, "created_at": TEXT}},
        "schedule": {"type": "object", "properties": {"name": TEXT, "due": TEXT, "date": TEXT}},
    },
}
"""What is known of values whatever the workflow says."""
OF_A_STEP: JsonObject = {"type": "object", "properties": {"status": TEXT, "iteration": _NUMBER}}
REQUIRED, WRONG_TYPE = "Field required", ("Input should be a valid", "Input should be an object")
"""As pydantic says them."""
SAMPLES: Mapping[str, JsonValue] = {"string": "a text", "integer": 7, "number": 0.5, "boolean": True}
"""Of lists and maps there is none: an agent may take some of them for what they hold."""
_SCALARS = frozenset({"string", "integer", "number", "boolean"})

Found: TypeAlias = "Callable[[Mention], JsonObject | Missing | None]"


def becomes(template: str, found: Found) -> str | None:
    """The JSON type of what the template gives; None where that is open. `found` is what is known of a path."""
    pieces = split(template)
    if len(pieces) != 1 or not isinstance(pieces[0], Expression):
        return "string"
    if pieces[0].path is None:
        return None
    schema = found(pieces[0].mentions[0])
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return kind if isinstance(kind, str) else None


def compared(expression: Expression, found: Found) -> tuple[str, str] | None:
    """The types on both sides of a `<` or the like that is all of the expression, when they have no order."""
    signs = [token for token in expression.tokens if token.kind == "mark" and token.text in ("<", "<=", ">", ">=")]
    if len(signs) != 1:
        return None
    at = signs[0].offset - expression.offset
    left, right = expression.source[:at], expression.source[at + len(signs[0].text) :]
    one, other = _type_of(left, found), _type_of(right, found)
    if one is None or other is None or one == other or {one, other} <= {"integer", "number"}:
        return None
    return one, other


def _type_of(operand: str, found: Found) -> str | None:
    """Of a path or a literal; None of what is more."""
    try:
        parsed = parse(operand)
    except Malformed:
        return None
    if parsed.path is not None:
        return becomes(f"{OPEN}{operand}{CLOSE}", found)
    lone = parsed.tokens[0].kind if len(parsed.tokens) == 1 else None
    return {"number": "number", "text": "string"}.get(lone or "")


def types_of(schema: JsonObject) -> frozenset[str] | None:
    """The JSON types that the schema can take; None where it does not say, or not here."""
    said = schema.get("type")
    if isinstance(said, str):
        return frozenset({said})
    if isinstance(said, list | tuple):
        return frozenset(map(str, said))
    branches = schema.get("anyOf")
    if not isinstance(branches, list | tuple):
        return None
    types = [types_of(branch) if isinstance(branch, Mapping) else None for branch in branches]
    return frozenset[str]().union(*(each for each in types if each)) if types and all(types) else None


def types_at(schema: JsonObject, path: Sequence[PathPart]) -> frozenset[str] | None:
    """The JSON types of what may stand at the path; None where that is open."""
    found = look_up(schema, path)
    return types_of(found) if isinstance(found, Mapping) else None


def with_value(value: JsonValue, path: Sequence[PathPart], put: JsonValue) -> JsonValue:
    """`value` with another one at the path."""
    if not path:
        return put
    first, *rest = path
    if isinstance(value, Mapping):
        return {key: with_value(item, rest, put) if key == first else item for key, item in value.items()}
    assert isinstance(value, list)
    return [with_value(item, rest, put) if index == first else item for index, item in enumerate(value)]


def pointer_of(path: Sequence[PathPart]) -> str:
    """The path as JSON pointer."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def fits(kind: str, types: frozenset[str], *, exactly: bool) -> bool:
    """Whether such a value may be taken. Models make numbers of texts, and the like, where not `exactly` is asked."""
    if kind in types or (kind == "integer" and "number" in types) or (kind == "number" and "integer" in types):
        return True
    # A text may be a number to a model; a number is no text.
    return not exactly and kind in _SCALARS and bool(types & (_SCALARS - {"string"}))


def texts(node: Node, path: tuple[PathPart, ...] = ()) -> Iterator[tuple[Node, str, tuple[PathPart, ...]]]:
    """Every text with an expression at or below the node, and its path from there."""
    if isinstance(node.value, str) and any(isinstance(piece, Expression) for piece in split(node.value)):
        yield node, node.value, path
    for child in node.items():
        yield from texts(child, (*path, child.path[-1]))


def shape_of(template: JsonValue) -> JsonObject:
    """What is known of the value that a template gives, as JSON Schema."""
    match template:
        case Mapping():
            inner = {key: shape_of(value) for key, value in template.items()}
            return {"type": "object", "properties": inner, "additionalProperties": False}
        case list() | tuple():
            return {"type": "array"}
        case bool():
            return {"type": "boolean"}
        case str():
            pieces = split(template)
            lone = len(pieces) == 1 and isinstance(pieces[0], Expression)
            return {} if lone else TEXT
        case _:
            return {}


def path_of(mention: Mention) -> list[PathPart] | None:
    """The names and indexes behind the root; None when one of them is computed."""
    path = [part_of(token) for token in mention.path]
    known = [part for part in path if part is not None]
    return known if len(known) == len(path) else None
