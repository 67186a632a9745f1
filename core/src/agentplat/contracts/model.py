"""What a model provider implements: messages in, one reply out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a source that a model may draw on. `source` is what a reader can look up: a path, a URL."""

    source: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest:
    """A model asks for a tool. `arguments` is what it sent, parsed; it is untrusted."""

    id: str
    tool: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_requests: tuple[ToolRequest, ...] = ()  # role assistant only
    tool_request_id: str | None = None  # role tool only: which request this answers


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDescription:
    name: str
    description: str
    schema: JsonObject  # JSON Schema of the arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    model: str  # without the provider's name
    messages: tuple[Message, ...]
    passages: tuple[Passage, ...] = ()  # a provider renders them into the prompt as numbered sources
    tools: tuple[ToolDescription, ...] = ()
    output_schema: JsonObject | None = None  # JSON Schema that the reply's text must be an instance of
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0  # seconds for the whole call
    idempotency_key: str | None = None  # the same for every attempt at this call


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    text: str
    usage: Usage  # usage.model is set to `provider:model` by the caller
    finish_reason: Literal["stop", "length", "tool_calls", "refused"] = "stop"
    tool_requests: tuple[ToolRequest, ...] = ()
    metadata: JsonObject = field(default_factory=dict)


class ModelProvider(Protocol):
    """Reaches models of one kind. One instance per process; `complete` may be called concurrently.

    Raises StepError only: `rate_limited` (with `retry_after` if known), `timeout`, `unavailable`, `refused`,
    `invalid_input` (the request was wrong), `invalid_output` (the answer could not be read). A cancelled call ends
    its network request. Prompts, replies and keys never appear in an error's text.
    """

    async def complete(self, request: ModelRequest) -> ModelReply: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProviderSpec:
    """Offers a provider. `agentplat_model_providers` returns these.

    The default provider is the one of highest rank that is configured: of whose `requires` every environment variable
    is set. Named explicitly (`provider:model`) a provider is used whatever its rank.
    """

    name: str
    description: str
    factory: str  # "module:callable", called with this spec's `options` as keywords; returns a ModelProvider
    default_model: str
    rank: int = 0
    generates: bool = True  # False: it only selects from what it is given
    leaves_machine: bool = True  # whether prompts go to another machine
    requires: tuple[str, ...] = ()  # environment variables without which it cannot answer
    automatic: bool = True  # False: never the default, only when named
    options: Mapping[str, JsonValue] = field(default_factory=dict)
