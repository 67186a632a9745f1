"""Stand-ins for what is outside: a model that follows a script, a log that remembers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from agentplat.contracts.model import ModelReply, ModelRequest, ToolRequest
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import Usage

Reply: TypeAlias = "str | JsonObject | ModelReply | Exception"
"""Text, an object that is written as JSON, a whole reply, or an error that is raised."""

Script: TypeAlias = "Sequence[Reply] | Callable[[ModelRequest], Reply]"

DEFAULT_USAGE = Usage(input_tokens=10, output_tokens=5, cost=3)


class ScriptedModel:
    """A ModelProvider that answers from a script: a list of replies, one per call, or a function of the request.

    `requests` has every request that reached it. A list that is used up answers with `refused`.
    """

    def __init__(self, script: Script = (), *, usage: Usage = DEFAULT_USAGE) -> None:
        self._script, self._usage = script, usage
        self.requests: list[ModelRequest] = []
        self.closed = False

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.requests.append(request)
        reply = self._next(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, ModelReply):
            return reply
        text = reply if isinstance(reply, str) else json.dumps(reply)
        return ModelReply(text=text, usage=self._usage)

    def _next(self, request: ModelRequest) -> Reply:
        if callable(self._script):
            return self._script(request)
        if len(self.requests) > len(self._script):
            return StepError(FailureCode.REFUSED, f"the script has no reply for request {len(self.requests)}")
        return self._script[len(self.requests) - 1]

    async def aclose(self) -> None:
        self.closed = True


def asks_for(tool: str, /, *, usage: Usage = DEFAULT_USAGE, **arguments: JsonValue) -> ModelReply:
    """A reply by which a model asks for one call of a tool."""
    asked = ToolRequest(id=f"{tool}-1", tool=tool, arguments=arguments)
    return ModelReply(text="", usage=usage, finish_reason="tool_calls", tool_requests=(asked,))


@dataclass(slots=True)
class RememberedLog:
    """A Log whose entries can be read: (level, event, values)."""

    entries: list[tuple[str, str, Mapping[str, JsonValue]]] = field(default_factory=list)

    def info(self, event: str, /, **values: JsonValue) -> None:
        self.entries.append(("info", event, values))

    def warning(self, event: str, /, **values: JsonValue) -> None:
        self.entries.append(("warning", event, values))

    @property
    def events(self) -> list[str]:
        return [event for _, event, _ in self.entries]


def plausible(request: ModelRequest) -> Reply:
    """An answer to anything: one sentence, or the least object that fits the schema that was asked for."""
    if request.output_schema is None:
        return "A short answer that says nothing in particular."
    answer = least(request.output_schema, request.output_schema)
    return answer if isinstance(answer, Mapping) else json.dumps(answer)


_LEAST: Mapping[str, JsonValue] = {"boolean": False, "null": None, "string": "text"}


def least(schema: JsonObject, root: JsonObject) -> JsonValue:
    """A small value that fits the schemas that pydantic writes for models."""
    chosen: Any = schema
    if "$ref" in chosen:
        definitions: Any = root["$defs"]
        return least(definitions[chosen["$ref"].rpartition("/")[2]], root)
    for key in ("const", "default", "enum", "examples", "anyOf", "oneOf", "allOf"):
        if key in chosen:
            value = chosen[key] if key in ("const", "default") else chosen[key][0]
            return least(value, root) if key.endswith("Of") else cast("JsonValue", value)
    match chosen.get("type"):
        case "object":
            properties = chosen.get("properties", {})
            return {name: least(properties.get(name, {}), root) for name in chosen.get("required", ())}
        case "array":
            return [least(chosen.get("items", {}), root) for _ in range(chosen.get("minItems", 0))]
        case "integer" | "number":
            return cast("JsonValue", chosen.get("minimum", chosen.get("maximum", 0)))
        case other:
            return _LEAST.get(other, "text")
