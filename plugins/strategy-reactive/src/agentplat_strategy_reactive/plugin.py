"""What agentplat-strategy-reactive offers to agentplat."""

from __future__ import annotations

from agentplat import JsonObject, StrategySpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    """The strategy `reactive`."""
    turns: JsonObject = {
        "description": "How many executions there are at most. Default: 50.",
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
    }
    on: JsonObject = {
        "description": "The fact, the facts or the expression that the step waits for. Without it, it runs once.",
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        ],
    }
    written: JsonObject = {
        "description": "The fact that the step's whole output becomes. Default: each field of it is a fact.",
        "type": "string",
        "minLength": 1,
    }
    return [
        StrategySpec(
            name="reactive",
            description="Runs steps when facts that they wait for change, until nothing changes.",
            factory="agentplat_strategy_reactive.reactive:Reactive",
            options={"type": "object", "properties": {"max_turns": turns}, "additionalProperties": False},
            expressions=("on",),
            step_options={"type": "object", "properties": {"on": on, "as": written}, "additionalProperties": False},
        )
    ]
