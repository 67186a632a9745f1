"""What is wrong with a workflow that compiles, as far as the schemas of what it names tell: each at its place.

Paths of expressions that can lead nowhere, inputs that do not fit, items that are no list, retries of what must not be
repeated, clauses of `catch` that an earlier one leaves nothing to, and workflows that call each other without an end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from agentplat.contracts.tool import Effect
from agentplat.domain.json import JsonObject
from agentplat.domain.workflow import AgentCall, Approval, Block, Step, ToolCall, Workflow, WorkflowCall
from agentplat.language.diagnostics import Diagnostic, Diagnostics
from agentplat.language.nodes import Node
from agentplat.language.references import place_of
from agentplat.language.schema import faults, with_defaults
from agentplat.language.syntax import Expression, Mention, parse, split, value_of
from agentplat.language.yaml import Document
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


def check(workflow: Workflow, document: Document, schemas: Schemas) -> list[Diagnostic]:
    """The faults, in the order of the file."""
    diagnostics = Diagnostics(document.file)
    node = Node(document, diagnostics, (), document.value)
    scope = _Scope(workflow.input_schema, {}, schemas)
    inner = scope.within(workflow.root)
    inner.templates(node["output"])
    scope.block(node, workflow.root)
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

    def within(self, block: Block) -> _Scope:
        """What the steps of `block` see."""
        return _Scope(self.input, {**self.outputs, **dict(self._outputs(block))}, self.schemas)

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
            case _:
                return None

    def block(self, node: Node, block: Block) -> None:
        inner = _Scope(self.input, {}, self.schemas).within(block)
        inner.condition(node["until"])
        if block.foreach is not None:
            self.items(node["foreach"])
            self.item(node, block.steps[0])
        else:
            for place, step in zip(node["steps"].items(), block.steps, strict=True):
                inner.step(place, step)
        taken: frozenset[str] = frozenset()
        for place, clause in zip(node["catch"].items(), block.catch, strict=True):
            if taken >= _GROUPS or clause.on <= taken:
                text = "the clauses before it take all failures that it names"
                place.refuse("unreachable_catch", text, "put the narrower clause first")
            taken |= clause.on
            inner.handler(place["steps"], clause.block)
        if block.final is not None:
            inner.handler(node["finally"], block.final)

    def handler(self, node: Node, block: Block) -> None:
        """Steps of a handler see those of the block, too."""
        inner = self.within(block)
        for place, step in zip(node.items(), block.steps, strict=True):
            inner.step(place, step)

    def step(self, node: Node, step: Step | Block) -> None:
        self.condition(node["when"])
        for child in node.items():
            if child.key not in (*_HANDLERS, "when", "until", "description"):
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

    def item(self, node: Node, step: Step | Block) -> None:
        """What is done for each item; its templates were looked at with those of the whole step."""
        if isinstance(step, Block):
            self.block(node, step)
        else:
            self.call(node, step)

    def call(self, node: Node, step: Step) -> None:
        match step.body:
            case AgentCall(agent):
                self.given(node["input"], "agent", agent)
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
            case _:
                pass

    def given(self, node: Node, kind: str, name: str) -> None:
        """What is written as input, against what the agent, tool or workflow takes; expressions may become anything."""
        schema = self.schemas.input(kind, name) if isinstance(node.value, dict) else None
        if schema is None:
            return
        own, definitions = loose(name, schema)
        for pointer, reason in faults({**own, "definitions": {**DEFINITIONS, **definitions}}, node.value)[:5]:
            where = f" at {pointer}" if pointer else ""
            node.refuse("invalid_input", f"{kind} `{name}` does not take this{where}: {reason}")

    def required(self, node: Node, workflow: str) -> None:
        """What the other workflow's input needs and this one does not give."""
        schema = self.schemas.input("workflow", workflow)
        if schema is None or not isinstance(node.value, dict):
            return
        required = schema.get("required")
        given = with_defaults(schema, node.value)
        for name in required if isinstance(required, list | tuple) else ():
            if name not in given:
                node.refuse("invalid_input", f"workflow `{workflow}` does not take this: `{name}` is missing")

    def items(self, node: Node) -> None:
        if not isinstance(node.value, str):
            return
        pieces = split(node.value)
        if len(pieces) != 1 or not isinstance(pieces[0], Expression) or pieces[0].path is None:
            return
        for mention in pieces[0].mentions:
            found = self.found(mention)
            kind = found.get("type") if isinstance(found, Mapping) else None
            if isinstance(kind, str) and kind != "array":
                node.refuse("wrong_type", f"`foreach` needs a list, and `{pieces[0].source.strip()}` is of type {kind}")

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
        for mention in expression.mentions:
            found = self.found(mention)
            if isinstance(found, Missing):
                skipped = 0 if mention.root.text == "input" else 2
                token = mention.path[skipped + found.at]
                base = ".".join(
                    [mention.root.text, *(str(value_of(each)) for each in mention.path[: skipped + found.at])]
                )
                hint = node.diagnostics.nearest(str(value_of(token)), found.known) if found.known else ""
                mark = place_of(node, token.offset)
                node.diagnostics.add(mark, "unknown_value", f"`{base}`: {found.reason}", hint)

    def found(self, mention: Mention) -> JsonObject | Missing | None:
        """What is known of the value that an expression names."""
        path = [value_of(token) for token in mention.path]
        known = [part for part in path if part is not None]
        if len(known) < len(path):
            return None
        if mention.root.text == "input" and self.input is not None:
            return look_up(self.input, known)
        if mention.root.text == "steps" and len(known) > 1 and known[1] == "output":
            schema = self.outputs.get(str(known[0]))
            return look_up(schema, known[2:]) if schema is not None else None
        return None
