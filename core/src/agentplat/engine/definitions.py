"""Workflow documents: read from files at submission, pinned in the database, compiled once per process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast

from agentplat import telemetry
from agentplat.contracts.agent import AgentSpec
from agentplat.contracts.specs import StrategySpec, Subject, WorkflowSpec
from agentplat.contracts.store import Definition, Store
from agentplat.domain.errors import NotInstalled, UnknownName, UsageError, WorkflowInvalid
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.tree import build
from agentplat.domain.workflow import (
    DEFAULT_STEP_TIMEOUT,
    AgentCall,
    Body,
    Workflow,
    WorkflowCall,
    leaves,
    single,
)
from agentplat.engine.catalog import Catalog, blocks
from agentplat.engine.journal import patiently
from agentplat.language.compiler import definition_hash, normalise
from agentplat.language.yaml import load

KINDS = ("workflow", "agent", "tool")
_KEPT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What a task, and all below it, is worked on by, whatever the files say by now."""

    workflow: Workflow
    agents: Mapping[str, AgentSpec] = field(default_factory=dict)
    workflows: Mapping[str, JsonObject | None] = field(default_factory=dict)  # input schemas of those that it may call
    revisions: Mapping[str, int] = field(default_factory=dict)  # the least of strategies that will do; 1 of all others


@dataclass(frozen=True, slots=True)
class _Compiled:
    stamp: tuple[int, int]  # of the file: modification time and size
    workflow: Workflow
    document: JsonObject


def split_type(type: str) -> tuple[str, str]:
    """Kind and name of a task type. UnknownName for what is not `workflow:`, `agent:` or `tool:` and a name."""
    kind, colon, name = type.partition(":")
    if kind not in KINDS or not colon or not name:
        raise UnknownName("task type", type, [f"{kind}:<name>" for kind in KINDS])
    return kind, name


class Definitions:
    """Compiles and keeps workflows: by file for those who submit, by hash for those who work."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_file: dict[str, _Compiled] = {}
        self._faults: dict[str, tuple[str, ...]] = {}  # of files as they are now
        self._by_hash: OrderedDict[tuple[str, str | None], Pinned] = OrderedDict()

    def workflow(self, catalog: Catalog, name: str) -> Workflow:
        """The workflow of that name, as its file is now. UnknownName, or WorkflowInvalid with all diagnostics.

        A file that became invalid keeps its last good version, and says so in the log.
        """
        return self._compiled(catalog, catalog.workflows.spec(name)).workflow

    def faults(self, catalog: Catalog, name: str) -> tuple[str, ...]:
        """What is wrong with the workflow's file as it is now; if it once was good, the last good version is in use."""
        spec = catalog.workflows.spec(name)
        try:
            self._compiled(catalog, spec)
        except WorkflowInvalid as invalid:
            return invalid.diagnostics
        return self._faults.get(spec.file, ())

    def pin(self, catalog: Catalog, type: str) -> tuple[Workflow, Definition | None]:
        """What a task of that type will be worked on by; no definition where the type says it all."""
        kind, name = split_type(type)
        if kind == "workflow":
            compiled = self._compiled(catalog, catalog.workflows.spec(name))
            workflow, document = compiled.workflow, compiled.document
        else:
            specs = catalog.agents if kind == "agent" else catalog.tools
            specs.spec(name)  # UnknownName with the known ones
            workflow, document = single(kind, name), None
        below = self._reachable(catalog, workflow)
        together = [workflow, *[each.workflow for each in below.values()]]
        prompts, revisions = _prompt_only(catalog, together), _later_revisions(catalog, together)
        if document is None and not prompts:
            return workflow, None
        pinned: dict[str, JsonValue] = {"type": type, "workflow": document, "agents": prompts}
        if revisions:
            pinned["strategies"] = revisions
        if below:
            pinned["workflows"] = {called: below[called].document for called in sorted(below)}
        return workflow, Definition(hash=definition_hash(pinned), name=name, version=workflow.version, document=pinned)

    def _reachable(self, catalog: Catalog, workflow: Workflow) -> dict[str, _Compiled]:
        """All workflows that it may call, and that these may call; itself only where it is called."""
        found: dict[str, _Compiled] = {}
        ahead = _called(workflow)
        while ahead:
            name = ahead.pop()
            if name not in found:
                found[name] = self._compiled(catalog, catalog.workflows.spec(name))
                ahead |= _called(found[name].workflow)
        return found

    async def pinned(self, type: str, hash: str | None) -> Pinned:
        """What a task was pinned to. WorkflowInvalid when this version cannot read it."""
        key = (type, hash)
        known = self._by_hash.get(key)
        if known is not None:
            self._by_hash.move_to_end(key)
            return known
        if hash is None:
            pinned = Pinned(workflow=single(*split_type(type)))
        else:
            definition = await patiently(lambda: self._store.definition(hash))
            pinned = _read(type, definition.document)
        self._by_hash[key] = pinned
        if len(self._by_hash) > _KEPT:
            self._by_hash.popitem(last=False)
        return pinned

    def _compiled(self, catalog: Catalog, spec: WorkflowSpec) -> _Compiled:
        known = self._by_file.get(spec.file)
        try:
            stat = Path(spec.file).stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if known is not None and known.stamp == stamp:
                self._faults.pop(spec.file, None)
                return known
            compiled = _compile(catalog, spec, stamp)
        except (OSError, WorkflowInvalid) as error:
            if known is None:
                raise error if isinstance(error, UsageError) else _unreadable(spec, error) from error
            invalid = error if isinstance(error, WorkflowInvalid) else _unreadable(spec, error)
            self._faults[spec.file] = invalid.diagnostics
            telemetry.log.warning(telemetry.WORKFLOW_KEPT, workflow=spec.name, reason=str(error))
            return known
        self._by_file[spec.file] = compiled
        self._faults.pop(spec.file, None)
        return compiled


def _compile(catalog: Catalog, spec: WorkflowSpec, stamp: tuple[int, int]) -> _Compiled:
    document = load(Path(spec.file).read_bytes(), spec.file)
    normalised = normalise(document, CatalogNames(catalog))
    return _Compiled(stamp, build(normalised), normalised)


def diagnosed(catalog: Catalog, text: str | bytes, file: str) -> tuple[str, ...]:
    """Everything that is wrong with a document: what the compiler says, and what an analysis `check` does."""
    said: tuple[str, ...] = ()
    try:
        document = load(text, file)
    except WorkflowInvalid as unreadable:
        return unreadable.diagnostics
    try:
        normalise(document, CatalogNames(catalog))
    except WorkflowInvalid as invalid:
        said = invalid.diagnostics
    if "check" not in catalog.analyses:
        return said
    written = text if isinstance(text, str) else text.decode(errors="replace")
    found = catalog.analysis("check")(Subject(file=file, text=written))
    more = [str(line) for line in found] if isinstance(found, list) else []
    return (*more, *(line for line in said if line not in more))


def analysed(catalog: Catalog, name: str, subject: Subject) -> JsonValue:
    """What the analysis of that name says. NotInstalled where nobody offers it."""
    if name not in catalog.analyses:
        raise NotInstalled(
            f"Nothing that is installed here offers the analysis {name!r}. Install "
            f"{'agentplat-testkit' if name == 'simulation' else 'agentplat-analysis'}, and start again."
        )
    return catalog.analysis(name)(subject)


def _unreadable(spec: WorkflowSpec, error: Exception) -> WorkflowInvalid:
    return WorkflowInvalid([f"{spec.file}:1:1: unreadable: the file of workflow {spec.name!r}: {error}"])


class CatalogNames:
    """The names that the compiler checks a document against."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def agents(self) -> tuple[str, ...]:
        return self._catalog.agents.names

    def tools(self) -> tuple[str, ...]:
        return self._catalog.tools.names

    def workflows(self) -> tuple[str, ...]:
        return self._catalog.workflows.names

    def strategies(self) -> tuple[str, ...]:
        return self._catalog.strategies.names

    def strategy(self, name: str) -> StrategySpec | None:
        return self._catalog.strategies.spec(name) if name in self._catalog.strategies else None

    def checks(self) -> tuple[str, ...]:
        return self._catalog.convergence_checks.names


def pinned_step(kind: str, name: str, body: Body, timeout: timedelta | None, around: Pinned) -> Definition:
    """What a step of that kind is worked on by where it is a task of its own: one try, by what was pinned around it."""
    step: dict[str, JsonValue] = {"timeout": None if timeout is None else timeout.total_seconds()}
    if isinstance(body, AgentCall):
        step["model"] = body.model
    agents: JsonObject = {name: _spec_to_json(around.agents[name])} if name in around.agents else {}
    pinned: dict[str, JsonValue] = {"type": f"{kind}:{name}", "workflow": None, "agents": agents, "step": step}
    return Definition(hash=definition_hash(pinned), name=name, version=None, document=pinned)


def _called(workflow: Workflow) -> set[str]:
    return {step.body.workflow for step in leaves(workflow.root) if isinstance(step.body, WorkflowCall)}


def _prompt_only(catalog: Catalog, workflows: Sequence[Workflow]) -> dict[str, JsonValue]:
    steps = (step for workflow in workflows for step in leaves(workflow.root))
    used = {step.body.agent for step in steps if isinstance(step.body, AgentCall)}
    specs = (catalog.agents.spec(name) for name in sorted(used))
    return {spec.name: _spec_to_json(spec) for spec in specs if spec.prompt is not None}


def _later_revisions(catalog: Catalog, workflows: Sequence[Workflow]) -> JsonObject:
    """Of the strategies that are used, those whose rule has changed since the first revision."""
    used = {block.strategy for workflow in workflows for block in blocks(workflow.root)}
    revisions = {name: catalog.strategy(name).revision for name in sorted(used)}
    return {name: revision for name, revision in revisions.items() if revision > 1}


def _spec_to_json(spec: AgentSpec) -> dict[str, JsonValue]:
    return {**asdict(spec), "tools": list(spec.tools)}


def _read(type: str, document: JsonObject) -> Pinned:
    normalised, agents, below, revisions = (
        document.get(key) for key in ("workflow", "agents", "workflows", "strategies")
    )
    kind, name = split_type(type)
    called = below if isinstance(below, Mapping) else {}
    if document.get("type") != type:  # a child, pinned with the task that is above all others
        normalised = called.get(name)
    workflow = build(normalised) if isinstance(normalised, Mapping) else _lone(kind, name, document.get("step"))
    entries = agents if isinstance(agents, Mapping) else {}
    return Pinned(
        workflow=workflow,
        workflows={name: _schema(form) for name, form in called.items() if isinstance(form, Mapping)},
        agents={name: _spec_from_json(entry) for name, entry in entries.items() if isinstance(entry, Mapping)},
        revisions=dict(cast("Mapping[str, int]", revisions or {})),
    )


def _lone(kind: str, name: str, step: JsonValue) -> Workflow:
    if not isinstance(step, Mapping):
        return single(kind, name)
    model, timeout = step.get("model"), step.get("timeout")
    return single(
        kind,
        name,
        model if isinstance(model, str) else None,
        retry=RetryPolicy(max_attempts=1),
        timeout=timedelta(seconds=timeout) if isinstance(timeout, int | float) else DEFAULT_STEP_TIMEOUT,
    )


def _schema(form: JsonObject) -> JsonObject | None:
    schema = form.get("input")
    return schema if isinstance(schema, Mapping) else None


def _spec_from_json(entry: JsonObject) -> AgentSpec:
    model, config, prompt, tools = (entry.get(key) for key in ("model", "config", "prompt", "tools"))
    return AgentSpec(
        name=str(entry["name"]),
        description=str(entry["description"]),
        factory=str(entry["factory"]),
        tools=tuple(str(tool) for tool in tools) if isinstance(tools, list | tuple) else (),
        model=model if isinstance(model, str) else None,
        config=config if isinstance(config, Mapping) else {},
        prompt=prompt if isinstance(prompt, Mapping) else None,
    )
