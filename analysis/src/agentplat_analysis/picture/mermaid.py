"""A workflow as the text of a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from agentplat.domain.workflow import Workflow
from agentplat_analysis.picture.drawing import Edge, Group, Kind, Node, Shape, draw
from agentplat_analysis.picture.ways import Strategies

LONGEST = 80
_SHAPES: dict[Shape, tuple[str, str]] = {
    "agent": ("[", "]"),
    "tool": ("[[", "]]"),
    "workflow": ("[/", "/]"),
    "wait": ("{{", "}}"),
    "approval": ("{", "}"),
    "event": (">", "]"),
    "start": ("([", "])"),
    "end": ("([", "])"),
    "entry": ("(( ", "))"),
}
_ARROWS: dict[Kind, str] = {"next": "-->", "again": "-.->", "failure": "-.->", "undo": "-.->", "always": "==>"}


def mermaid(workflow: Workflow, strategies: Strategies) -> str:
    """The flowchart, ending with a line break."""
    return "\n".join(["flowchart TD", *_members(draw(workflow, strategies), "  ")]) + "\n"


def _members(group: Group, indent: str) -> Iterator[str]:
    for member in group.members:
        if isinstance(member, Node):
            yield f"{indent}{member.id}{_shape(member)}"
            continue
        yield f"{indent}subgraph {member.id} [{_label(member.label)}]"
        yield from _members(member, indent + "  ")
        yield f"{indent}end"
    for edge in group.edges:
        yield f"{indent}{edge.source} {_ARROWS[edge.kind]}{_on(edge)} {edge.target}"


def _shape(node: Node) -> str:
    left, right = _SHAPES[node.shape]
    return f"{left}{_label(*node.lines) if node.lines else ''}{right}"


def _on(edge: Edge) -> str:
    label = edge.label or ("undo" if edge.kind == "undo" else "")
    return f"|{_label(label)}|" if label else ""


def _label(*lines: str) -> str:
    """A quoted label; no text of a document ends it early."""
    return '"' + "<br/>".join(_escaped(line) for line in lines) + '"'


def _escaped(text: str) -> str:
    shortened = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    return "".join(
        char if char.isalnum() or char in " _-.,:$()[]=+/!'" else f"#{ord(char)};"
        for char in shortened.replace("\n", " ")
    )
