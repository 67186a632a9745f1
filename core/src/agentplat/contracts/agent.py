"""What an agent author implements, and the context that is an agent's only way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from agentplat.contracts.model import Message, ModelReply, Passage
from agentplat.domain.json import JsonValue

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")
ModelT = TypeVar("ModelT")


class Llm(Protocol):
    """The model that was chosen for this agent. Every call is recorded; usage and cost are counted by the engine."""

    @property
    def model(self) -> str:
        """`provider:model`."""

    @property
    def generates(self) -> bool:
        """False when the model only selects from what it is given (the offline default)."""

    async def complete(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str | None = None,
        passages: Sequence[Passage] = (),
        tools: Sequence[str] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> ModelReply:
        """The reply. With `tools`, the model may call those (of the agent's own) for at most 8 rounds first."""

    async def structured(
        self,
        prompt: str | Sequence[Message],
        output: type[ModelT],
        *,
        system: str | None = None,
        passages: Sequence[Passage] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> ModelT:
        """The reply as an instance of `output`, a pydantic model. StepError `invalid_output` when it does not fit."""


class Tools(Protocol):
    """The tools that this agent declared or was given."""

    @property
    def names(self) -> Sequence[str]: ...

    async def call(self, name: str, /, **arguments: JsonValue) -> Any:
        """The tool's output as JSON. Recorded: after a crash the same try gets the recorded output back."""


class Log(Protocol):
    def info(self, event: str, /, **values: JsonValue) -> None: ...

    def warning(self, event: str, /, **values: JsonValue) -> None: ...


class AgentContext(Protocol):
    @property
    def llm(self) -> Llm: ...

    @property
    def tools(self) -> Tools: ...

    @property
    def log(self) -> Log: ...

    @property
    def config(self) -> Mapping[str, JsonValue]:
        """The `config` of the agent's entry, or of its spec, over `[agents.<name>]` of `agentplat.toml`."""

    @property
    def tenant(self) -> str: ...

    @property
    def task_id(self) -> str: ...

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at this step."""

    @property
    def deadline(self) -> float:
        """Seconds left of the step's timeout."""

    def emit(self, event: str, /, **values: JsonValue) -> None:
        """Tell whoever watches how far the work is. A hint: not recorded, and lost on a crash."""


class Agent(Generic[InputT, OutputT]):
    """A named capability: typed input to typed output.

    Subclass with two pydantic models: `class Summarizer(Agent[Input, Output])`. The input is validated before
    `execute` and the output after it. `execute` may be `async def`, or `def`, which runs in a thread. Raise StepError
    for a typed failure; anything else becomes `agent_failed`.
    """

    name: str
    tools: tuple[str, ...] = ()
    isolated: bool = False  # run `execute` in a process of its own, under the limits of `[isolation]`
    most_model_calls: int | None = None  # of one `execute`; what is said here is what `workflows bounds` counts with
    most_tool_calls: int | None = None

    async def execute(self, input: InputT, ctx: AgentContext) -> OutputT:
        """The work."""
        raise NotImplementedError(f"{type(self).__name__} does not implement execute")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """Offers an agent. `agentplat_agents` returns these."""

    name: str  # ^[a-z][a-z0-9_]*$
    description: str
    factory: str  # "module:Class" of an Agent, imported at first use
    tools: tuple[str, ...] = ()
    model: str | None = None  # `provider:model`; None is the default model
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    replaces: bool = False  # project entries only
    prompt: Mapping[str, JsonValue] | None = None  # a prompt-only agent: its entry, normalised; pinned at submission
