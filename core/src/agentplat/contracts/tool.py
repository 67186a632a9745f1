"""What a tool author implements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from agentplat.domain.json import JsonValue

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class Effect(StrEnum):
    """What a tool does to the world. The engine derives from it whether a repeat is allowed."""

    PURE = "pure"  # the same input gives the same output, nothing else is touched
    READS = "reads"  # looks at the world, changes nothing
    IDEMPOTENT = "idempotent"  # changes the world, at most once per idempotency key
    AT_MOST_ONCE = "at_most_once"  # must not be repeated when in doubt


class ToolContext(Protocol):
    """What a tool may use besides its input."""

    @property
    def config(self) -> Mapping[str, JsonValue]:
        """The `config` of the tool's entry, or of its spec."""

    @property
    def settings(self) -> Mapping[str, JsonValue]:
        """What the project's `agentplat.toml` says under `[tools.<name>]`."""

    @property
    def project(self) -> str | None:
        """The project's folder; None when there is none."""

    @property
    def idempotency_key(self) -> str:
        """The same for every repeat of this call; hand it to the other side."""

    @property
    def tenant(self) -> str: ...

    @property
    def deadline(self) -> float:
        """Seconds left of the step's timeout."""


class Tool(Generic[InputT, OutputT]):
    """A typed function that an agent, a step or a user may call.

    Subclass with two pydantic models (or any pydantic-readable types): `class Add(Tool[Input, Output])`. The input is
    validated before `execute` and the output after it. `execute` may be `async def`, or `def`, which runs in a
    thread. Raise StepError for a typed failure; anything else becomes `tool_failed`.
    """

    name: str
    effect: Effect = Effect.AT_MOST_ONCE  # the careful default: declare what is true
    isolated: bool = False  # run `execute` in a process of its own, under the limits of `[isolation]`

    async def execute(self, input: InputT, ctx: ToolContext) -> OutputT:
        """The work."""
        raise NotImplementedError(f"{type(self).__name__} does not implement execute")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """Offers a tool. `agentplat_tools` returns these."""

    name: str  # ^[a-z][a-z0-9_]*$
    description: str
    factory: str  # "module:Class" of a Tool, imported at first use
    effect: Effect
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    replaces: bool = False  # project entries only
