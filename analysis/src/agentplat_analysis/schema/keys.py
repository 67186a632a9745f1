"""What each key of a workflow file may hold, as JSON Schema with a description."""

from __future__ import annotations

from agentplat.domain.interpreter.children import MAX_KEY
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.language.bodies import MAX_AT_A_TIME, MAX_PARALLEL
from agentplat.language.parts import BACKOFFS, FAILURES
from agentplat.language.schema import TYPES
from agentplat.language.steps import MAX_ITERATIONS
from agentplat.language.syntax import OPEN

EXPRESSION: JsonObject = {"$ref": "#/definitions/expression"}
DURATION: JsonObject = {"$ref": "#/definitions/duration"}
STEPS: JsonObject = {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/step"}}
_NAME = "^[a-z][a-z0-9_]{0,63}$"
EXISTING: JsonObject = {"type": "string", "pattern": _NAME}
"""A workflow that is not installed yet: a file may call itself."""
_CODES: JsonObject = {"enum": sorted(FAILURES)}

DEFINITIONS: JsonObject = {
    "expression": {
        "description": "An expression in ${{ }}; its value takes this place.",
        "type": "string",
        "pattern": OPEN.replace("$", r"\$").replace("{", r"\{"),
    },
    "duration": {
        "description": "30s, 2m, 1h30m, 3d, 500ms or a number of seconds.",
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {
                "type": "string",
                "minLength": 2,
                "pattern": r"^\s*([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+(\.[0-9]{1,3})?s)?([0-9]+ms)?\s*$",
            },
        ],
    },
    "retry": {
        "description": "When and how often what failed is tried again.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "max_attempts": {"description": "Tries in all.", "type": "integer", "minimum": 1, "maximum": 100},
            "backoff": {"description": "How the pauses grow.", "enum": list(BACKOFFS)},
            "initial": {"description": "The first pause.", **DURATION},
            "max": {"description": "The longest pause.", **DURATION},
            "on": {
                "description": "Codes of failures, and the groups retryable and permanent.",
                "anyOf": [_CODES, {"type": "array", "items": _CODES}],
            },
        },
    },
    "input": {
        "description": "JSON Schema of an object, or in short a type for each field.",
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"enum": list(TYPES)},
                {"type": ["object", "array", "boolean", "string", "number", "null"]},
            ]
        },
    },
}


def _text(description: str) -> JsonObject:
    return {"description": description, "type": "string"}


def _object(description: str, required: tuple[str, ...] = (), **properties: JsonValue) -> JsonObject:
    return {
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": list(required)} if required else {}),
    }


BLOCK: JsonObject = {
    "max_iterations": {
        "description": "How often the block's steps are gone through at most.",
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_ITERATIONS,
    },
    "quality_threshold": {
        "description": "What `quality_score` has to reach, for the check quality_threshold.",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
    },
    "until": {
        "description": "An expression over the block's steps; when it holds, the block is done.",
        "type": ["string", "boolean"],
    },
    "options": {"description": "What the strategy is told besides.", "type": "object"},
    "steps": {"description": "The steps of this block.", **STEPS},
    "timeout": {"description": "Of one attempt, or of the whole block.", **DURATION},
    "catch": {
        "description": "What is done when a step of this block has failed for good.",
        "type": "array",
        "items": _object(
            "The first clause that names the failure's code, or its group, takes it.",
            ("steps",),
            on={
                "description": "Codes or groups; all when left out.",
                "anyOf": [_CODES, {"type": "array", "items": _CODES}],
            },
            steps=STEPS,
        ),
    },
    "finally": {"description": "Steps that come at the end of this block, whatever came of it.", **STEPS},
}
"""Of blocks; the workflow itself is one."""

STEP: JsonObject = {
    "name": {"description": "Its name, by which others refer to it.", "type": "string", "pattern": _NAME},
    "description": _text("What it is for."),
    "when": {
        "description": "An expression; when it does not hold, the step is skipped.",
        "type": ["string", "boolean"],
    },
    "needs": {
        "description": "The steps of this block that have to come before.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    },
    "input": {"description": "What it is given, with expressions. Default: what the strategy hands over."},
    "retry": {"$ref": "#/definitions/retry"},
    "model": _text("provider:model, for this agent's calls."),
    "queue": {
        "description": "It runs as a task of its own, on workers that serve this queue.",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY,
    },
    "concurrency": _object(
        "It runs as a task of its own, of which so many with one key are worked on at a time.",
        ("key", "limit"),
        key=_text("What these tasks have in common, with expressions."),
        limit={"type": "integer", "minimum": 1, "maximum": MAX_AT_A_TIME},
    ),
    "foreach": {
        "description": "A list, or an expression that gives one: one execution per item, with `item` and `index`.",
        "anyOf": [{"type": "array"}, EXPRESSION],
    },
    "max_parallel": {
        "description": "How many items are worked on at a time.",
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_PARALLEL,
    },
    "join": {
        "description": "How many items have to succeed: all, any, settled, or {n_of: 2}.",
        "anyOf": [
            {"enum": ["all", "any", "settled"]},
            _object("So many of them.", n_of={"type": "integer", "minimum": 1}),
        ],
    },
    "compensate": {
        "description": "A step, or `steps`, that undo this one when the task fails later.",
        "anyOf": [_object("Several.", ("steps",), steps=STEPS), {"$ref": "#/definitions/step"}],
    },
    "wait": _object(
        "Waits, and holds no worker meanwhile.",
        duration=DURATION,
        until={"description": "A time as ISO 8601, or an expression.", "type": "string"},
        signal={"description": "The name of a signal.", "type": "string", "pattern": _NAME},
        timeout={"description": "How long a signal may take.", **DURATION},
    ),
    "approval": _object(
        "Asks somebody, and waits for the answer.",
        ("message",),
        message=_text("What is asked."),
        form={"$ref": "#/definitions/input"},
        assignee=_text("Who is asked: role:editor, an address."),
        timeout={"description": "How long the answer may take.", **DURATION},
        on_timeout={"description": "What becomes of it without an answer.", "enum": ["reject", "approve", "fail"]},
    ),
    "emit": _object(
        "Tells whoever listens to the task.",
        ("event",),
        event={"type": "string", "pattern": _NAME},
        data={"description": "What is told, with expressions."},
    ),
}
"""Of steps, besides what they call."""

WORKFLOW: JsonObject = {
    "name": {"description": "The workflow's name.", "type": "string", "pattern": _NAME},
    "description": _text("What it is for."),
    "version": {"description": "For people; its content identifies it in any case.", "type": ["string", "integer"]},
    "input": {"$ref": "#/definitions/input"},
    "defaults": _object(
        "What steps have that do not say otherwise.",
        timeout=DURATION,
        retry={"$ref": "#/definitions/retry"},
        model=_text("provider:model, for all agents."),
    ),
    "budget": _object(
        "What a task may take.",
        wall_time={"description": "Time, waiting included.", **DURATION},
        usd={"description": "Money for models.", "type": "number", "exclusiveMinimum": 0},
        tokens={"description": "Tokens of models.", "type": "integer", "minimum": 1},
    ),
    "output": {"description": "What the task gives, with expressions. Default: what its last step gave."},
    "replaces": {"description": "Whether this file stands for an installed one.", "type": "boolean"},
    "schedule": _object(
        "When it runs by itself.",
        ("cron",),
        cron=_text("minute, hour, day of month, month, day of week."),
        timezone=_text("Such as Europe/Copenhagen. Default: UTC."),
        catch_up={
            "description": "What becomes of times that were missed while nothing ran. Default: skip.",
            "enum": ["skip", "last", "all"],
        },
        catch_up_limit={
            "description": "With `all`: the newest so many. Default: 100.",
            "type": "integer",
            "minimum": 1,
            "maximum": 1000,
        },
        input={"description": "The input of its tasks.", "type": "object"},
    ),
}
"""Of the workflow, besides those of its block."""
