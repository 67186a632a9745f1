"""`agents.yaml` and `tools.yaml`: entries that name a class, and agents that are a prompt and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.language.diagnostics import Diagnostics, Mark
from agentplat.language.nodes import Node
from agentplat.language.references import ATTRIBUTES, NOTHING, check_template
from agentplat.language.schema import read_input
from agentplat.language.syntax import Expression, Malformed, split
from agentplat.language.yaml import Document
from agentplat.plugins.offers import OfferInvalid
from agentplat.plugins.targets import load_class

PROMPT_AGENT = "agentplat.engine.prompt_agent:PromptAgent"

_TOOL_KEYS = ("name", "description", "replaces", "class", "config")
_PROMPT_KEYS = ("prompt", "system", "output")
_AGENT_KEYS = (*_TOOL_KEYS, "model", "tools", *_PROMPT_KEYS)

ClassT = TypeVar("ClassT")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of one of the files. `spec` is None when it is at fault; `name` is what could be read of it."""

    name: str | None
    mark: Mark
    spec: AgentSpec | ToolSpec | None


Read: TypeAlias = Callable[[Document, Diagnostics], list[Entry]]


def read_agents(document: Document, diagnostics: Diagnostics) -> list[Entry]:
    """The entries of `agents.yaml`; what is wrong with them goes to `diagnostics`."""
    return [_entry(node, _AGENT_KEYS, _agent) for node in _listed(document, diagnostics, "agents")]


def read_tools(document: Document, diagnostics: Diagnostics) -> list[Entry]:
    """The entries of `tools.yaml`; what is wrong with them goes to `diagnostics`."""
    return [_entry(node, _TOOL_KEYS, _tool) for node in _listed(document, diagnostics, "tools")]


def _listed(document: Document, diagnostics: Diagnostics, key: str) -> Iterator[Node]:
    root = Node(document, diagnostics, (), document.value)
    if document.value is not None and root.keys((key,)):
        yield from root[key].list() or ()


def _entry(node: Node, keys: Collection[str], read: Callable[[Node, str], AgentSpec | ToolSpec | None]) -> Entry:
    mark, found_before = node.document.mark(node.path), len(node.diagnostics.found)
    if not node.keys(keys):
        return Entry(None, mark, None)
    if node["name"].value is None:
        node.refuse("missing_key", "an entry needs a `name`")
    name = node["name"].name()
    spec = read(node, name or "")
    at_fault = name is None or len(node.diagnostics.found) > found_before
    return Entry(name, mark, None if at_fault else spec)


def _agent(node: Node, name: str) -> AgentSpec | None:
    model = node["model"].text()
    given = tuple(tool for item in node["tools"].list() or () if (tool := item.name()) is not None)
    if "prompt" in node:
        if "class" in node:
            node["class"].refuse_key("unknown_key", "an agent has a `prompt` or a `class`, not both")
        factory, tools, entry = PROMPT_AGENT, given, _prompt(node, name)
        description = node["description"].text() or ""
    else:
        for key in _PROMPT_KEYS:
            if key in node:
                node[key].refuse_key("unknown_key", f"`{key}` belongs to an agent that is a `prompt`")
        kind = _class(node, Agent, "an agent needs a `prompt` or a `class`")
        if kind is None:
            return None
        factory, tools, entry = str(node["class"].value), given if "tools" in node else kind.tools, None
        description = _description(node, kind)
    return AgentSpec(
        name=name,
        description=description,
        factory=factory,
        tools=tools,
        model=model,
        config=_map(node["config"]),
        replaces=_flag(node["replaces"]),
        prompt=entry,
    )


def _prompt(node: Node, name: str) -> JsonObject:
    """The entry of a prompt-only agent with every key that it may have: what a task is pinned to."""
    if node["prompt"].value is None:
        node["prompt"].refuse("missing_key", "the `prompt` is empty")
    return {
        "name": name,
        "prompt": _template(node["prompt"]),
        "system": _template(node["system"]),
        "output": read_input(node["output"]),  # a JSON Schema, written in full or in short, as a workflow's input is
    }


def _template(node: Node) -> str | None:
    text = node.text()
    check_template(node, NOTHING)
    try:
        pieces = split(text or "")
    except Malformed:
        return None  # reported above
    roots = {root for piece in pieces if isinstance(piece, Expression) for root in piece.roots}
    for root in sorted(roots & set(ATTRIBUTES) - {"input"}):
        node.refuse("expression", f"a prompt knows its agent's `input`; `{root}` belongs to a workflow")
    return text


def _tool(node: Node, name: str) -> ToolSpec | None:
    kind = _class(node, Tool, "a tool needs a `class`")
    if kind is None:
        return None
    return ToolSpec(
        name=name,
        description=_description(node, kind),
        factory=str(node["class"].value),
        effect=kind.effect,
        config=_map(node["config"]),
        replaces=_flag(node["replaces"]),
    )


def _class(node: Node, contract: type[ClassT], missing: str) -> type[ClassT] | None:
    """The class that an entry names. It is imported now, so that a wrong one is told with its place."""
    target = node["class"].text()
    if "class" not in node:
        node.refuse("missing_key", missing)
    if target is None:
        return None
    try:
        return load_class(target, contract)
    except OfferInvalid as invalid:
        node["class"].refuse("unknown_class", invalid.detail)
        return None


def _description(node: Node, kind: type) -> str:
    return node["description"].text() or (kind.__doc__ or "").strip().partition("\n")[0]


def _map(node: Node) -> dict[str, JsonValue]:
    if isinstance(node.value, dict):
        return node.value
    if node.value is not None:
        node.refuse("wrong_type", f"`{node.key}` has to be a map of keys and values")
    return {}


def _flag(node: Node) -> bool:
    if node.value is not None and not isinstance(node.value, bool):
        node.refuse("wrong_type", f"`{node.key}` is true or false")
    return node.value is True
