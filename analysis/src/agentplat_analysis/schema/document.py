"""The JSON Schema of workflow files over what is installed: draft 7, which editors know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentplat.contracts.specs import StrategySpec
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.language.compiler import WORKFLOW_KEYS
from agentplat.language.steps import BLOCK_KEYS, DEFAULT_STRATEGY, STEP_KEYS
from agentplat_analysis.schema.inputs import for_steps
from agentplat_analysis.schema.keys import BLOCK, DEFINITIONS, EXISTING, EXPRESSION, STEP, WORKFLOW

_STRATEGY_KEYS = ("strategy", "coordination_type")
_CALLS = {"agent": "The agent that does it.", "agent_type": "The agent that does it.", "tool": "The tool that does it."}
_WORKFLOW = "Another workflow, as a task of its own."
_PLAIN = ("wait", "approval", "emit")
_NOT_FOR_PLAIN = ("input", "retry", "timeout", "model", "queue", "concurrency")
_ITEM_KEYS = ("max_parallel", "join")


@dataclass(frozen=True, slots=True)
class Known:
    """An agent, a tool, a workflow or a check; of checks there is no input."""

    name: str
    description: str
    input: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What is installed."""

    agents: Sequence[Known] = ()
    tools: Sequence[Known] = ()
    workflows: Sequence[Known] = ()
    strategies: Sequence[StrategySpec] = ()
    checks: Sequence[Known] = ()


def schema_of(offers: Offers) -> JsonObject:
    """The schema. What it refuses the compiler refuses too; what it cannot know, only the compiler says."""
    calls, definitions = _inputs(offers)
    block = _block_keys(offers)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A workflow of agentplat",
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": False,
        "properties": _supported(
            {**_options(offers.strategies), **block, **WORKFLOW}, WORKFLOW_KEYS | BLOCK_KEYS, offers
        ),
        "allOf": [_of_strategy(spec, offers.strategies, is_step=False) for spec in offers.strategies],
        "definitions": {**DEFINITIONS, **definitions, "step": _step(offers, block, calls)},
    }


def _step(offers: Offers, block: JsonObject, calls: list[JsonValue]) -> JsonObject:
    bodies = (*_CALLS, "workflow", *_PLAIN, "steps")
    named = {"agent": offers.agents, "agent_type": offers.agents, "tool": offers.tools}
    properties = {
        **_options(offers.strategies),
        **_step_options(offers.strategies),
        **block,
        **STEP,
        **{key: {"description": said, **_one_of(named[key])} for key, said in _CALLS.items()},
        "workflow": {"description": _WORKFLOW, **_one_of(offers.workflows, EXISTING)},
    }
    options = _step_options(offers.strategies)
    if "join" in options:
        properties["join"] = {"anyOf": [STEP["join"], options["join"]]}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": _supported(properties, STEP_KEYS | {*_ITEM_KEYS}, offers),
        "oneOf": [{"required": [body]} for body in bodies],
        "allOf": [
            *(_without(body, _NOT_FOR_PLAIN) for body in _PLAIN),
            _without("steps", ("retry", "model", "queue", "concurrency")),
            *({"if": {"required": [key]}, "then": {"required": ["name"]}} for key in (*_PLAIN, "steps")),
            *(_of_strategy(spec, offers.strategies, is_step=True) for spec in offers.strategies),
            *calls,
        ],
    }


def _supported(properties: JsonObject, keys: Iterable[str], offers: Offers) -> JsonObject:
    """Those that this version takes: the compiler's own keys, and what strategies name."""
    told = {*_options(offers.strategies), *_step_options(offers.strategies)}
    allowed = {*keys} | told
    return {key: value for key, value in properties.items() if key in allowed}


def _without(body: str, keys: Iterable[str]) -> JsonObject:
    return {"if": {"required": [body]}, "then": {"properties": dict.fromkeys(keys, False)}}


def _block_keys(offers: Offers) -> JsonObject:
    strategy = {"description": "How the steps are coordinated.", **_one_of(offers.strategies)}
    check = {"description": "When an iteration is good enough.", **_one_of(offers.checks)}
    return {**BLOCK, **dict.fromkeys(_STRATEGY_KEYS, strategy), "convergence_check": check}


def _one_of(known: Iterable[Known | StrategySpec], more: JsonObject | None = None) -> JsonObject:
    named: list[JsonValue] = [{"const": each.name, "description": each.description} for each in known]
    if more is not None:
        named.append(more)
    return {"anyOf": named} if named else {"type": "string"}


def _of_strategy(spec: StrategySpec, all_specs: Sequence[StrategySpec], *, is_step: bool) -> JsonObject:
    """What holds for a block of this strategy: its own options, and those of its steps."""
    own, of_steps = _typed(spec, spec.options), _typed(spec, spec.step_options)
    # A block inside of another may hold what the strategy around it wants to know.
    strange = set(_options(all_specs)) - set(own) - (set(_step_options(all_specs)) if is_step else set())
    strange_to_steps = set(_step_options(all_specs)) - set(of_steps) - set(_ITEM_KEYS) - set(_options(all_specs))
    properties: dict[str, JsonValue] = {**own, **dict.fromkeys(sorted(strange), False)}
    properties["options"] = {"properties": own}
    properties["steps"] = {"items": {"properties": {**of_steps, **dict.fromkeys(sorted(strange_to_steps), False)}}}
    return {"if": _is_of(spec.name, is_step=is_step), "then": {"properties": properties}}


def _is_of(strategy: str, *, is_step: bool) -> JsonObject:
    said: list[JsonValue] = [{"required": [key], "properties": {key: {"const": strategy}}} for key in _STRATEGY_KEYS]
    if strategy == DEFAULT_STRATEGY:
        said.append({"not": {"anyOf": [{"required": [key]} for key in _STRATEGY_KEYS]}})
    return {"anyOf": said, **({"required": ["steps"]} if is_step else {})}


def _options(specs: Iterable[StrategySpec]) -> dict[str, JsonValue]:
    """The options of all strategies, each with the description of those who have it."""
    return _described([spec.options for spec in specs])


def _step_options(specs: Iterable[StrategySpec]) -> dict[str, JsonValue]:
    return _described([spec.step_options for spec in specs])


def _described(schemas: Iterable[JsonObject | None]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for schema in schemas:
        for name, option in _properties(schema).items():
            said = option.get("description") if isinstance(option, Mapping) else None
            found.setdefault(name, {"description": said} if said is not None else {})
    return found


def _typed(spec: StrategySpec, schema: JsonObject | None) -> dict[str, JsonValue]:
    return {
        name: {"anyOf": [option, EXPRESSION]} if name in spec.expressions else option
        for name, option in _properties(schema).items()
    }


def _properties(schema: JsonObject | None) -> Mapping[str, JsonValue]:
    properties = schema.get("properties") if schema is not None else None
    return properties if isinstance(properties, Mapping) else {}


def _inputs(offers: Offers) -> tuple[list[JsonValue], JsonObject]:
    """For each agent, tool and workflow what its step's `input` may be; and what those refer to."""
    rules: list[JsonValue] = []
    definitions: dict[str, JsonValue] = {}
    kinds = (
        ("agent", ("agent", "agent_type"), offers.agents),
        ("tool", ("tool",), offers.tools),
        ("workflow", ("workflow",), offers.workflows),
    )
    for kind, keys, known in kinds:
        for each in known:
            if each.input is None:
                continue
            schema, referred = for_steps(f"{kind}.{each.name}", each.input)
            definitions |= {f"{kind}.{each.name}": schema, **referred}
            rules.append(
                {
                    "if": {"anyOf": [{"required": [key], "properties": {key: {"const": each.name}}} for key in keys]},
                    "then": {"properties": {"input": {"$ref": f"#/definitions/{kind}.{each.name}"}}},
                }
            )
    return rules, definitions
