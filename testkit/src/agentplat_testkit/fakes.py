"""Stand-ins for what is outside: a model that follows a script, a log that remembers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

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
