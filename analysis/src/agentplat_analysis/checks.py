"""What is wrong with a workflow that compiles, as far as the schemas of what it names tell: each at its place.

Paths of expressions that can lead nowhere, inputs that do not fit, items that are no list, retries of what must not be
repeated, clauses of `catch` that an earlier one leaves nothing to, and workflows that call each other without an end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from agentplat.contracts.tool import Effect
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import (
    SINGLE,
    AgentCall,
    Approval,
    Block,
    Step,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)
from agentplat.language.diagnostics import Diagnostic, Diagnostics
from agentplat.language.nodes import Node
from agentplat.language.references import place_of
from agentplat.language.schema import faults, with_defaults
from agentplat.language.syntax import Expression, Mention, parse, split, value_of
from agentplat.language.yaml import Document
from agentplat_analysis.checking.beginnings import Beginning, before, beginning, refuse_early
from agentplat_analysis.checking.kinds import (
    OF_A_STEP,
    OF_THE_SCOPE,
    REQUIRED,
    SAMPLES,
    WRONG_TYPE,
    becomes,
    compared,
    fits,
    path_of,
    pointer_of,
    shape_of,
    texts,
    types_at,
    with_value,
)
from agentplat_analysis.rings import certain_calls, way_back
from agentplat_analysis.schema.inputs import loose
from agentplat_analysis.schema.keys import DEFINITIONS
from agentplat_analysis.shapes import Missing, look_up

_HANDLERS = ("steps", "catch", "finally", "compensate")
_GROUPS = frozenset({"retryable", "permanent"})


class Schemas(Protocol):
    """What is known of agents, tools and workflows; None where it is not."""

    def input(self, kind: str, name: str) -> JsonObject | None: ...

    def output(self, kind: str, name: str) -> JsonObject | None: ...

    def effect(self, tool: str) -> Effect: ...

    def workflow(self, name: str) -> Workflow | None: ...

    def refused(self, kind: str, name: str, given: JsonValue) -> Collection[tuple[str, str]]:
        """What the agent or tool itself says of an input: pairs of JSON pointer and reason."""
        ...

    def strategy(self, name: str) -> Strategy | None: ...

    def model(self, named: str) -> str | None:
        """Why there is no such model; None when there is, or may be."""
        ...


def check(workflow: Workflow, document: Document, schemas: Schemas) -> list[Diagnostic]:
    """The faults, in the order of the file."""
    diagnostics = Diagnostics(document.file)
    node = Node(document, diagnostics, (), document.value)
    scope = _Scope(workflow.input_schema, {}, schemas)
    inner = scope.within(workflow.root)
    inner.templates(node["output"])
    scope.block(node, workflow.root)
    scope.schedule(node["schedule"]["input"], node["schedule"], workflow)
    scope.model(node["defaults"]["model"])
    _rings(node, workflow, schemas)
    return sorted(set(diagnostics.found))


def _rings(node: Node, workflow: Workflow, schemas: Schemas) -> None:
    """Report other workflows that call this one in every task, as it calls them."""
    called = (step.body.workflow for step in certain_calls(workflow.root) if isinstance(step.body, WorkflowCall))
    for name in dict.fromkeys(called):
        ring = way_back(workflow, name, schemas.workflow)
        for place in _calls_of(node, name) if ring else ():
            text = f"these workflows call each other in every task: {' -> '.join((workflow.name, *ring))}"
            place.refuse("endless_recursion", text, "say by `when` in which tasks one of them does")
            break


def _calls_of(node: Node, workflow: str) -> Iterator[Node]:
    """The places where that workflow is called, those left out where something decides whether it is."""
    if "when" in node or "foreach" in node:
        return
    if node["workflow"].value == workflow:
        yield node["workflow"]
    for child in node.items():
        if child.key not in ("catch", "compensate"):
            yield from _calls_of(child, workflow)


@dataclass(frozen=True, slots=True)
class _Scope:
    input: JsonObject | None
    outputs: Mapping[str, JsonObject]  # of the steps whose output has a known schema
    schemas: Schemas
    item: JsonObject | None = None  # what `item` is, as far as it is known

    def within(self, block: Block) -> _Scope:
        """What the steps of `block` see."""
        return replace(self, outputs={**self.outputs, **dict(self._outputs(block))})

    def _outputs(self, block: Block) -> Iterator[tuple[str, JsonObject]]:
        for step in block.steps:
            schema = self._output(step)
            if schema is not None:
                yield step.name, schema

    def _output(self, step: Step | Block) -> JsonObject | None:
        if isinstance(step, Block):
            return {"type": "array"} if step.foreach is not None else None
        match step.body:
            case AgentCall(agent):
                return self.schemas.output("agent", agent)
            case ToolCall(tool):
                return self.schemas.output("tool", tool)
            case Approval():
                form = step.body.form or {}
                asked = form.get("properties")
                answers = asked if isinstance(asked, Mapping) else {}
                return {"type": "object", "properties": {**answers, "approved": {"type": "boolean"}, "by": {}}}
            case WorkflowCall(workflow):
                called = self.schemas.workflow(workflow)
                return shape_of(called.output) if called is not None and called.output is not None else None
            case _:
                return None

    def block(self, node: Node, block: Block) -> None:
        inner = replace(self, outputs={}).within(block)
        inner.condition(node["until"])
        if block.foreach is not None:
            self.items(node["foreach"])
            self.done_for_each(node, block.steps[0])
        else:
            begun = self.begun(node, block)
            for place, step in zip(node["steps"].items(), block.steps, strict=True):
                inner.step(place, step)
                if begun is not None:
                    refuse_early(place, step, before(block, begun, step.name))
        taken: frozenset[str] = frozenset()
        for place, clause in zip(node["catch"].items(), block.catch, strict=True):
            if taken >= _GROUPS or clause.on <= taken:
                text = "the clauses before it take all failures that it names"
                place.refuse("unreachable_catch", text, "put the narrower clause first")
            taken |= clause.on
            inner.handler(place["steps"], clause.block)
        if block.final is not None:
            inner.handler(node["finally"], block.final)

    def begun(self, node: Node, block: Block) -> Beginning | None:
        """How the block begins; None where that cannot be told. A strategy that refuses it is reported."""
        said = next((node[key].value for key in ("strategy", "coordination_type") if key in node), block.strategy)
        if said != block.strategy or block.strategy == SINGLE:  # one that is not known is read as the usual one
            return None
        strategy = self.schemas.strategy(block.strategy)
        found = beginning(block, strategy) if strategy is not None else Beginning()
        if found.refused is not None:
            place = next((node[key] for key in ("strategy", "coordination_type") if key in node), node)
            place.refuse("invalid_option", f"strategy `{block.strategy}` refuses this block: {found.refused}")
        return found

    def handler(self, node: Node, block: Block) -> None:
        """Steps of a handler see those of the block, too."""
        inner = self.within(block)
        for place, step in zip(node.items(), block.steps, strict=True):
            inner.step(place, step)

    def step(self, node: Node, step: Step | Block) -> None:
        self.condition(node["when"])
        self.templates(node["foreach"])
        if isinstance(step, Block) and step.foreach is not None:
            replace(self, item=self._item(node["foreach"])).body(node, step)
        else:
            self.body(node, step)

    def body(self, node: Node, step: Step | Block) -> None:
        """What the step does, `item` being in scope where it does it for each."""
        for child in node.items():
            if child.key not in (*_HANDLERS, "when", "foreach", "until", "description"):
                self.templates(child)
        if step.compensate is not None:
            place = node["compensate"]
            several = "steps" in place and "strategy" not in place
            inner = self.within(step.compensate)
            if several:
                self.handler(place["steps"], step.compensate)
            else:
                inner.step(place, step.compensate.steps[0])
        if isinstance(step, Block):
            self.block(node, step)
        else:
            self.call(node, step)

    def _item(self, node: Node) -> JsonObject | None:
        """What each of the items is; `foreach` stands there."""
        named = _path_in(node)
        found = self.found(named.mentions[0]) if named is not None else None
        items = found.get("items") if isinstance(found, Mapping) else None
        return items if isinstance(items, Mapping) else None

    def done_for_each(self, node: Node, step: Step | Block) -> None:
        """What is done for each item; its templates were looked at with those of the whole step."""
        if isinstance(step, Block):
            self.block(node, step)
        else:
            self.call(node, step)

    def call(self, node: Node, step: Step) -> None:
        match step.body:
            case AgentCall(agent):
                self.given(node["input"], "agent", agent)
                self.model(node["model"])
            case WorkflowCall(workflow):
                self.given(node["input"], "workflow", workflow)
                self.required(node["input"], workflow)
            case ToolCall(tool):
                self.given(node["input"], "tool", tool)
                if self.schemas.effect(tool) is Effect.AT_MOST_ONCE and step.retry.max_attempts > 1 and "retry" in node:
                    text = f"tool `{tool}` acts at most once: when its outcome is in doubt it is not tried again"
                    node["retry"].refuse_key(
                        "unsafe_retry", text, "leave `retry` out, or use a tool that is idempotent"
                    )
            case UntilWait():
                for place, template, _ in texts(node["wait"]["until"]):
                    kind = becomes(template, self.found)
                    if kind not in (None, "string"):
                        place.refuse("invalid_time", f"`until` needs a time as a text, and this is of type {kind}")
            case _:
                pass

    def model(self, node: Node) -> None:
        """A model of whose provider nobody has heard."""
        fault = self.schemas.model(node.value) if isinstance(node.value, str) else None
        if fault is not None:
            node.refuse("unknown_model", fault)

    def schedule(self, node: Node, around: Node, workflow: Workflow) -> None:
        """What the workflow is given when it runs by itself."""
        if workflow.input_schema is None or not isinstance(around.value, dict):
            return
        if node.value is not None:
            self.fitting(node, f"workflow `{workflow.name}`", workflow.name, workflow.input_schema)
        place = node if node.value is not None else around
        _required(place, workflow.name, workflow.input_schema, node.value if isinstance(node.value, dict) else {})

    def given(self, node: Node, kind: str, name: str) -> None:
        """What is written as input, against what the agent, tool or workflow takes; expressions may become anything."""
        schema = self.schemas.input(kind, name) if node.value is not None else None
        if schema is None:
            return
        if kind == "workflow":
            self.fitting(node, f"workflow `{name}`", name, schema)
            return
        before = len(node.diagnostics.found)
        if isinstance(node.value, dict):
            _written(node, f"{kind} `{name}`", name, schema)
        if len(node.diagnostics.found) == before:
            self.asked(node, kind, name, schema)

    def asked(self, node: Node, kind: str, name: str, schema: JsonObject) -> None:
        """What an agent or tool itself says: its types may take more, and other names, than their schema tells."""
        templates = [*texts(node)]
        for pointer, reason in self.schemas.refused(kind, name, node.value):
            if not templates or (reason == REQUIRED and pointer.count("/") == 1 and schema.get("type") == "object"):
                what = f"`{pointer[1:]}` is missing" if reason == REQUIRED else reason
                where = f" at {pointer}" if pointer and what == reason else ""
                node.refuse("invalid_input", f"{kind} `{name}` does not take this{where}: {what}")
        for place, template, path in templates:
            becoming, types = becomes(template, self.found), types_at(schema, path)
            sample = SAMPLES.get(becoming or "")
            if becoming is None or sample is None or types is None or fits(becoming, types, exactly=False):
                continue
            said = self.schemas.refused(kind, name, with_value(node.value, path, sample))
            if any(pointer == pointer_of(path) and reason.startswith(WRONG_TYPE) for pointer, reason in said):
                _refuse_type(place, f"{kind} `{name}`", becoming, types)

    def fitting(self, node: Node, what: str, name: str, schema: JsonObject) -> None:
        """What a workflow does not take, which is what its schema says."""
        if not isinstance(node.value, str) or not [*texts(node)]:
            _written(node, what, name, schema)
        for place, template, path in texts(node):
            becoming, types = becomes(template, self.found), types_at(schema, path)
            if becoming is not None and types is not None and not fits(becoming, types, exactly=True):
                _refuse_type(place, what, becoming, types)

    def required(self, node: Node, workflow: str) -> None:
        """What the other workflow's input needs and this one does not give."""
        schema = self.schemas.input("workflow", workflow)
        if schema is not None and isinstance(node.value, dict):
            _required(node, workflow, schema, node.value)

    def items(self, node: Node) -> None:
        named = _path_in(node)
        found = self.found(named.mentions[0]) if named is not None else None
        kind = found.get("type") if isinstance(found, Mapping) else None
        if named is not None and isinstance(kind, str) and kind != "array":
            node.refuse("wrong_type", f"`foreach` needs a list, and `{named.source.strip()}` is of type {kind}")

    def templates(self, node: Node) -> None:
        if isinstance(node.value, str):
            for piece in split(node.value):
                if isinstance(piece, Expression):
                    self.expression(node, piece)
        for child in node.items():
            self.templates(child)

    def condition(self, node: Node) -> None:
        if isinstance(node.value, str):
            self.expression(node, parse(node.value))

    def expression(self, node: Node, expression: Expression) -> None:
        if expression.asks_for_missing:
            return
        unlike = compared(expression, self.found)
        if unlike is not None:
            text = f"this compares a value of type {unlike[0]} with one of type {unlike[1]}, which have no order"
            node.diagnostics.add(place_of(node, expression.offset), "wrong_type", text)
        for mention in expression.mentions:
            found = self.found(mention)
            if isinstance(found, Missing):
                skipped = 2 if mention.root.text == "steps" else 0
                token = mention.path[skipped + found.at]
                base = ".".join(
                    [mention.root.text, *(str(value_of(each)) for each in mention.path[: skipped + found.at])]
                )
                hint = node.diagnostics.nearest(str(value_of(token)), found.known) if found.known else ""
                mark = place_of(node, token.offset)
                node.diagnostics.add(mark, "unknown_value", f"`{base}`: {found.reason}", hint)

    def found(self, mention: Mention) -> JsonObject | Missing | None:
        """What is known of the value that an expression names."""
        known, root = path_of(mention), mention.root.text
        if known is None:
            return None
        if root == "input":
            return look_up(self.input, known) if self.input is not None else None
        if root == "item":
            return look_up(self.item, known) if self.item is not None else None
        if root == "steps" and len(known) > 1:
            if known[1] == "output":
                schema = self.outputs.get(str(known[0]))
                return look_up(schema, known[2:]) if schema is not None else None
            found = look_up(OF_A_STEP, known[1:])
            return Missing(found.at - 1, found.reason, found.known) if isinstance(found, Missing) else found
        known_roots = OF_THE_SCOPE["properties"]
        assert isinstance(known_roots, Mapping)
        of_root = known_roots.get(root)
        return look_up(of_root, known) if isinstance(of_root, Mapping) else None


def _path_in(node: Node) -> Expression | None:
    """The expression that is all of a text, and no more than a path."""
    pieces = split(node.value) if isinstance(node.value, str) else ()
    lone = pieces[0] if len(pieces) == 1 else None
    return lone if isinstance(lone, Expression) and lone.path is not None else None


def _written(node: Node, what: str, name: str, schema: JsonObject) -> None:
    own, definitions = loose(name, schema)
    for pointer, reason in faults({**own, "definitions": {**DEFINITIONS, **definitions}}, node.value)[:5]:
        where = f" at {pointer}" if pointer else ""
        node.refuse("invalid_input", f"{what} does not take this{where}: {reason}")


def _refuse_type(node: Node, what: str, kind: str, types: Collection[str]) -> None:
    text = f"{what} takes a value of type {' or '.join(sorted(types))} here, and this is of type {kind}"
    node.refuse("invalid_input", text)


def _required(node: Node, workflow: str, schema: JsonObject, value: JsonObject) -> None:
    required = schema.get("required")
    given = with_defaults(schema, value)
    for name in required if isinstance(required, list | tuple) else ():
        if name not in given:
            node.refuse("invalid_input", f"workflow `{workflow}` does not take this: `{name}` is missing")
