"""The input of a workflow: its JSON Schema, the short form of it, and values held against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.language.nodes import Node
from agentplat.language.yaml import Path

if TYPE_CHECKING:
    import jsonschema_rs

TYPES = ("string", "integer", "number", "boolean", "array", "object", "null", "any")
MOST_FAULTS = 20
MOST_BRANCHES = 4
_WHOLE = ("$schema", "properties", "patternProperties", "allOf", "anyOf", "oneOf")
_OF_LISTS = ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains")
_OF_LEAVES = ("enum", "const", "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "multipleOf")
_OF_SCHEMAS = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def read_input(node: Node) -> JsonObject | None:
    """The JSON Schema of an object that `input` of a workflow states, in full or in short. Faults are reported."""
    if node.value is None or not node.is_map():
        return None
    assert isinstance(node.value, dict)
    if _refuse_references(node):
        return None
    is_whole = node.value.get("type") == "object" or any(not isinstance(node.value.get(key, ""), str) for key in _WHOLE)
    if not is_whole:
        return None if _refuse_ambiguity(node) else _short_form(node)
    if node.value.get("type") != "object":
        node.refuse("invalid_schema", "the input of a task is an object", "write `type: object` beside the properties")
        return None
    if not _is_schema(node, node.value, {}):
        return None
    _check_defaults(node["properties"])
    return dict(node.value)


def _refuse_ambiguity(node: Node) -> bool:
    """Report what may be the schema of something else than an object, or inputs that are called like its keys."""
    assert isinstance(node.value, dict)
    kind = node.value.get("type")
    also = next((key for key in node.value if key in (*_OF_LISTS, *_OF_LEAVES)), None)
    if kind not in TYPES or also is None:
        return False
    node["type"].refuse_key(
        "invalid_schema",
        f"`type` and `{also}` may be the schema of a value of type {kind}, or inputs of these names; the input of a "
        "task is an object",
        f"give the value a name, `numbers: {{type: {kind}, ...}}`, or write inputs of these names below `properties`",
    )
    return True


def _short_form(node: Node) -> JsonObject | None:
    """`topic: string` for each field; a field without a `default` is required."""
    properties: dict[str, JsonValue] = {}
    marks: dict[Path, Node] = {}
    for field in node.items():
        if isinstance(field.value, str) and field.value in TYPES:
            properties[field.key] = {} if field.value == "any" else {"type": field.value}
        elif isinstance(field.value, str):
            field.refuse(
                "unknown_type", f"there is no type `{field.value}`", field.diagnostics.nearest(field.value, TYPES)
            )
        elif isinstance(field.value, dict):
            properties[field.key] = field.value
        else:
            field.refuse("wrong_type", f"`{field.key}` needs a type, or a JSON Schema in braces: `{{type: string}}`")
        marks["properties", field.key] = field
    required: list[JsonValue] = [
        key for key, schema in properties.items() if not (isinstance(schema, Mapping) and "default" in schema)
    ]
    schema: dict[str, JsonValue] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if not _is_schema(node, schema, marks):
        return None
    _check_defaults(node)
    return schema


def _check_defaults(properties: Node) -> None:
    """Report defaults that would be refused themselves wherever they are put in."""
    for field in properties.items():
        if not isinstance(field.value, dict) or "default" not in field.value:
            continue
        for pointer, reason in faults(field.value, field.value["default"]):
            where = f" at {pointer}" if pointer else ""
            field["default"].refuse("invalid_default", f"the default of `{field.key}` does not fit{where}: {reason}")


def _refuse_references(node: Node) -> bool:
    """Report references: what they lead to may be elsewhere, or may make a small schema endless work."""
    found = False
    for child in node.items():
        if child.key in _REFERENCES and isinstance(child.value, str):
            child.refuse_key("not_supported", f"`{child.key}` is not followed", "write the schema out where it is used")
            found = True
        found = _refuse_references(child) or found
    return found


def _is_schema(node: Node, schema: JsonObject, marks: Mapping[Path, Node]) -> bool:
    import jsonschema_rs

    try:
        _validator(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        found = [] if "$schema" in schema else [*_validator(_OF_SCHEMAS).iter_errors(schema)]
        for each in found[:MOST_FAULTS] or (error,):
            path = tuple(getattr(each, "instance_path", ()))
            place, rest = marks.get(path[:2]), path[2:]
            if place is None:
                place, rest = node, path
            for part in rest:
                place = Node(node.document, node.diagnostics, (*place.path, part), None)
            place.refuse("invalid_schema", f"this is not JSON Schema: {_reason(each)}")
        return False
    return True


def _validator(schema: JsonObject) -> jsonschema_rs.Validator:
    import jsonschema_rs

    # Patterns run in linear time, and nothing is fetched.
    return jsonschema_rs.validator_for(dict(schema), pattern_options=jsonschema_rs.RegexOptions(), offline=True)


def faults(schema: JsonObject, value: JsonValue) -> list[tuple[str, str]]:
    """What is wrong with `value`: pairs of JSON pointer and reason, at most 20. Empty when it fits."""
    found: list[tuple[str, str]] = []
    for error in _validator(schema).iter_errors(value):
        if error.kind.name == "required":
            found.append((_pointer([*error.instance_path, error.kind.value]), "is missing"))
        else:
            found.append((_pointer(error.instance_path), _reason(error)))
        if len(found) == MOST_FAULTS:
            break
    return found


def with_defaults(schema: JsonObject, value: JsonObject) -> JsonObject:
    """`value` with the defaults of those of the schema's properties that it has not."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return value
    absent = {
        key: schema["default"]
        for key, schema in properties.items()
        if key not in value and isinstance(schema, Mapping) and "default" in schema
    }
    return {**value, **absent}


def _pointer(path: list[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _reason(error: jsonschema_rs.ValidationError | jsonschema_rs.ReferencingError) -> str:
    """What is wrong; of several schemas of which one would do, what is wrong by each."""
    branches = getattr(getattr(error, "kind", None), "context", None) or ()
    said = dict.fromkeys(_reason(branch[0]) for branch in branches if branch)
    return " or ".join(said) if 0 < len(said) <= MOST_BRANCHES else _shortened(getattr(error, "message", str(error)))


def _shortened(message: str, most: int = 200) -> str:
    return message if len(message) <= most else f"{message[:80]} ... {message[-80:]}"
