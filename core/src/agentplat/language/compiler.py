"""A workflow document becomes its normal form, and that the typed tree; every fault of the document is said at once."""

from __future__ import annotations

import hashlib
import json

from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.tree import build
from agentplat.domain.workflow import Block, Workflow
from agentplat.language.bodies import read_budget, read_schedule
from agentplat.language.diagnostics import Diagnostics
from agentplat.language.nodes import Node
from agentplat.language.options import told_of_steps
from agentplat.language.parts import NormalForm, read_defaults
from agentplat.language.references import Scope, check_template
from agentplat.language.schema import read_input
from agentplat.language.steps import STEP_KEYS, Names, Reader
from agentplat.language.yaml import Document, load

WORKFLOW_KEYS = frozenset(
    ["name", "description", "version", "input", "defaults", "budget", "output", "replaces", "schedule"]
)
"""Of the workflow itself, which is a block besides."""


def compile_document(document: Document, names: Names) -> Workflow:
    """The workflow. Raises WorkflowInvalid with every fault, names that are not installed included."""
    return build(_normal_form(document, names))


def draft(document: Document, names: Names) -> JsonObject:
    """The normal form of a document whatever is wrong with it: with holes where that is, so that it may be no tree."""
    node = Node(document, Diagnostics(document.file), (), document.value)
    return _read(node, names) if node.is_map() else {}


def normalise(document: Document, names: Names | None = None) -> JsonObject:
    """The document in the form that identifies it: defaults written out, one way to say each thing.

    Without `names` they are not held against what is installed, and options of strategies have to stand under
    `options`. Raises WorkflowInvalid with every other fault.
    """
    return _normal_form(document, names)


def compile_steps(steps: JsonValue, block: Block, names: Names) -> list[JsonObject]:
    """The normal forms of steps that are written as in a document, and that `block` gets besides those that it has.

    Raises WorkflowInvalid with every fault; its places are those in the steps' JSON text.
    """
    document = load(json.dumps({"steps": steps}, indent=1, ensure_ascii=False), "plan")
    diagnostics = Diagnostics(document.file)
    node = Node(document, diagnostics, (), document.value)["steps"]
    items = node.list()
    if not items:
        node.refuse("no_steps", "a plan is a list of at least one step")
    around = told_of_steps(names.strategy(block.strategy), STEP_KEYS)
    read, _ = Reader(names, read_defaults(node["defaults"])).steps(items or [], around, block.names)
    diagnostics.raise_found()
    return [form for form in read if isinstance(form, dict)]


def definition_hash(normalised: JsonObject) -> str:
    """The SHA-256 of the canonical JSON text of a normal form, in hexadecimal digits."""
    text = json.dumps(normalised, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _normal_form(document: Document, names: Names | None) -> NormalForm:
    diagnostics = Diagnostics(document.file)
    node = Node(document, diagnostics, (), document.value)
    form: NormalForm = {}
    if node.is_map():
        form = _read(node, names)
    diagnostics.raise_found()
    return form


def _read(node: Node, names: Names | None) -> NormalForm:
    if node["name"].value is None:
        node.refuse("missing_name", "a workflow needs a `name`")
    if not isinstance(node["replaces"].value, bool | None):
        node["replaces"].refuse(
            "wrong_type", "`replaces` is true or false: whether this file stands for an installed one"
        )
    form: NormalForm = {"name": node["name"].name()}
    said = {
        "description": node["description"].text() or None,
        "version": _version(node["version"]),
        "input": read_input(node["input"]),
        "deadline": _deadline(node["budget"]),
        "budget": read_budget(node["budget"]) or None,
        "schedule": read_schedule(node["schedule"]),
        "output": node["output"].value,
    }
    form |= {key: value for key, value in said.items() if value is not None}
    name = form["name"] if isinstance(form["name"], str) else None
    form |= Reader(names, read_defaults(node["defaults"]), name=name).block(node, more=WORKFLOW_KEYS)
    check_template(node["output"], Scope(_step_names(form)))
    return form


def _step_names(form: NormalForm) -> frozenset[str] | None:
    steps = form.get("steps")
    found = [step.get("name") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return frozenset(name for name in found if isinstance(name, str)) if found and all(found) else None


def _version(node: Node) -> str | None:
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return str(node.value)
    if isinstance(node.value, float):
        node.refuse("wrong_type", f"the version is read as the number {node.value}", "put it in quotes")
        return None
    return node.text()


def _deadline(node: Node) -> float | None:
    """What `budget` says of time."""
    if node.value is None or not node.keys({"wall_time", "usd", "tokens"}):
        return None
    return node["wall_time"].duration()
