"""What blocks and steps may tell the strategies, as JSON Schema."""

from __future__ import annotations

from agentplat import JsonObject, JsonValue


def options(**properties: JsonValue) -> JsonObject:
    """The schema of an object with these properties, none of them required."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


JOIN: JsonObject = {
    "description": "How many steps have to succeed: all, any, settled (whatever becomes of them), or {n_of: 2}.",
    "anyOf": [
        {"enum": ["all", "any", "settled"]},
        {
            "type": "object",
            "properties": {"n_of": {"type": "integer", "minimum": 1}},
            "required": ["n_of"],
            "additionalProperties": False,
        },
    ],
}
NEEDED: JsonObject = {
    **JOIN,
    "description": "How many of its needs have to succeed. Default: one, of those that ended.",
}
BATCH: JsonObject = {
    "description": "How many results the reducing step gets at a time, again until one is left.",
    "type": "integer",
    "minimum": 2,
}
ROUTER = options(
    route={"description": "An expression that gives the label, or with `several` the labels; no step is asked then."},
    routes={
        "description": "Which step, or steps, each label stands for. Without it every branch is its own label.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
        },
    },
    default={"description": "The branch that is taken when the choice cannot be read.", "type": "string"},
    several={"description": "Whether a list of labels may be chosen; the output is then by name.", "type": "boolean"},
    field={
        "description": "The field of the choosing step's output that has the choice; `route` by default.",
        "type": "string",
    },
    ask_again={
        "description": "How often the choosing step is asked again when its choice cannot be read; 0 by default.",
        "type": "integer",
        "minimum": 0,
        "maximum": 10,
    },
)
