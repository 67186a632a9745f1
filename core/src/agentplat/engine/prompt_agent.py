"""An agent that is a prompt and nothing more: an entry of `agents.yaml` without a class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, WithJsonSchema

from agentplat.contracts.agent import Agent, AgentContext
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.engine.steps.invocation import Signature
from agentplat.engine.steps.llm import read_structured
from agentplat.language.expressions import ExpressionEngine
from agentplat.language.schema import faults

_WHOLE_SCHEMA = ("$schema", "properties", "allOf", "anyOf", "oneOf")


class PromptAgent(Agent[dict[str, Any], dict[str, Any]]):
    """Renders its prompt with the input and asks the model; the answer is its output.

    The output is `{"result": <text>}`, or what `output` of the entry describes: `{field: type}` or JSON Schema.
    """

    def __init__(self, entry: JsonObject) -> None:
        self.name = str(entry["name"])
        self._prompt, self._system, output = entry["prompt"], entry.get("system"), entry.get("output")
        self._expressions = ExpressionEngine()
        self._schema = _schema(output) if isinstance(output, Mapping) else None
        self._output: Any = dict[str, Any] if self._schema is None else _fitting(self._schema)
        self._signature = Signature(TypeAdapter(dict[str, Any]), TypeAdapter(self._output))

    @property
    def signature(self) -> Signature:
        return self._signature

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> dict[str, Any]:
        prompt = self._rendered(self._prompt, input)
        system = None if self._system is None else self._rendered(self._system, input)
        temperature, max_tokens = ctx.config.get("temperature"), ctx.config.get("max_tokens")
        sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
        tools = ctx.tools.names
        if self._schema is None:
            reply = await ctx.llm.complete(prompt, system=system, tools=tools, **sampling)
            return {"result": reply.text}
        if not tools:
            given: dict[str, Any] = await ctx.llm.structured(prompt, self._output, system=system, **sampling)
            return given
        # Between the rounds of a tool loop a model may say anything; only its last words have to fit.
        asked = f"{prompt}\n\nAnswer with one JSON object that fits this JSON Schema:\n{json.dumps(self._schema)}"
        reply = await ctx.llm.complete(asked, system=system, tools=tools, **sampling)
        return read_structured(reply, TypeAdapter(self._output), ctx.llm.model)

    def _rendered(self, template: JsonValue, given: JsonObject) -> str:
        text = self._expressions.render(template, {"input": given})
        return text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)


def _schema(output: JsonObject) -> dict[str, JsonValue]:
    """The JSON Schema that `output` is, or is the short form of. All fields of the short form are required."""
    if output.get("type") == "object" or any(not isinstance(output.get(key, ""), str) for key in _WHOLE_SCHEMA):
        return dict(output)
    properties: dict[str, JsonValue] = {
        name: {} if kind == "any" else {"type": kind} if isinstance(kind, str) else kind
        for name, kind in output.items()
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _fitting(schema: JsonObject) -> Any:
    """The type of objects that fit `schema`, for pydantic."""

    def check(value: dict[str, Any]) -> dict[str, Any]:
        found = faults(schema, value)
        if found:
            places = ", ".join(sorted({pointer or "/" for pointer, _ in found}))
            # The reasons are left out: they repeat what the model said.
            raise ValueError(f"it does not fit its JSON Schema at {places}")
        return value

    return Annotated[dict[str, Any], AfterValidator(check), WithJsonSchema(dict(schema))]
