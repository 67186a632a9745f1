"""The remaining things that a plugin may offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """Offers a coordination strategy. `factory` names a `Strategy` class; it is pure and has no state.

    What a schema names may stand in the block, or in its steps, as a key of its own or under `options`.
    """

    name: str
    description: str
    factory: str  # "module:Class"
    options: JsonObject | None = None  # a JSON Schema of an object: what a block may be told; None: nothing is checked
    expressions: tuple[str, ...] = ()  # the options that may hold `${{ }}`, for the strategy to evaluate
    step_options: JsonObject | None = None  # the same for the block's steps


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """Offers a convergence check: a pure function of a step's output and the block's options."""

    name: str
    description: str
    check: Callable[[JsonValue, Mapping[str, JsonValue]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSpec:
    """Offers a workflow file that ships with a distribution."""

    name: str
    file: str  # absolute path
    demo: str | None = None  # the topic with which `agentplat demo` shows it; one workflow at most should say so
    replaces: bool = False  # project files only


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """Offers a command of `agentplat`: a function or a typer.Typer, imported when it is called."""

    name: str
    help: str
    target: str  # "module:callable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an analysis is asked about: a workflow as it is written, or as a task was given it."""

    file: str  # as diagnostics and places name it
    text: str | None = None  # the document; None: only what became of it is known
    workflow: Workflow | None = None  # None: the document, or no workflow at all
    options: JsonObject = field(default_factory=dict)  # what is asked besides, as that analysis understands it


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSpec:
    """Offers something that can be said about workflows besides what the compiler says.

    `target` is called with all that is installed and a Subject. It gives a JSON value, or raises the errors of
    agentplat. An analysis of the name `check` gives diagnostics, `file:line:column: code: text`, of a document that
    compiles: whoever checks or puts a workflow sees them.
    """

    name: str
    description: str
    target: str  # "module:callable"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSpec:
    """Offers the migrations of the tables that a distribution owns."""

    name: str
    upgrade: str  # "module:callable", called with a database URL; brings the schema to the newest revision
    current: str  # "module:callable", called with a database URL; (revision or None, newest revision)
    options: Mapping[str, JsonValue] = field(default_factory=dict)
