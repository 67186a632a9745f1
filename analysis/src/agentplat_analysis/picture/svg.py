"""A workflow as a picture: SVG without scripts, links or fonts of its own, to be read on light and on dark ground."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from agentplat.domain.workflow import Workflow
from agentplat_analysis.picture.drawing import Edge, Group, Node, draw
from agentplat_analysis.picture.layout import LINE, SIDE, Box, edges_of, laid_out, shortened
from agentplat_analysis.picture.ways import Strategies

_STYLE = """\
text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2328;text-anchor:middle}
.small{font-size:11px;fill:#59636e}.title{font-size:11px;fill:#59636e;text-anchor:start}.beside{text-anchor:start}
.ground{fill:#ffffff}.group{fill:#8080801a;stroke:#8c959f;stroke-dasharray:3 3}
.node{fill:#ffffff;stroke:#57606a}.agent{stroke:#0969da}.tool{stroke:#1a7f37}.wait{stroke:#9a6700}
.approval{stroke:#cf222e}.workflow{stroke:#bf3989;stroke-width:2}.event{stroke:#8250df}.entry{fill:#57606a}
.edge{fill:none;stroke:#57606a}.again,.undo{stroke-dasharray:5 4}.failure{stroke:#cf222e;stroke-dasharray:5 4}
.always{stroke-width:2}.head{fill:#57606a}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small,.title{fill:#9198a1}.ground{fill:#0d1117}
.node{fill:#151b23;stroke:#9198a1}.agent{stroke:#4493f8}.tool{stroke:#3fb950}.wait{stroke:#d29922}
.approval{stroke:#f85149}.workflow{stroke:#db61a2}.event{stroke:#ab7df8}.entry,.head{fill:#9198a1}.edge{stroke:#9198a1}.failure{stroke:#f85149}}"""
_MARKER = (
    '<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="head" d="M0 0L8 4L0 8z"/></marker>'
)


def svg(workflow: Workflow, strategies: Strategies) -> str:
    """The picture. The same workflow and strategies give the same text."""
    drawing = draw(workflow, strategies)
    whole = laid_out(drawing)
    boxes = {box.of.id: box for box in whole.all()}
    width, height = _number(whole.width), _number(whole.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>{_text(f'Workflow {workflow.name}')}</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_MARKER}</defs>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
        *(line for box in whole.all() if isinstance(box.of, Group) and box is not whole for line in _group(box)),
        *(line for edge in edges_of(drawing) for line in _edge(edge, boxes)),
        *(line for box in whole.all() if isinstance(box.of, Node) for line in _node(box, box.of)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _group(box: Box) -> Iterator[str]:
    assert isinstance(box.of, Group)
    x, y = _number(box.x), _number(box.y)
    yield f'<rect class="group" x="{x}" y="{y}" width="{_number(box.width)}" height="{_number(box.height)}" rx="8"/>'
    at = f'x="{_number(box.x + 12)}" y="{_number(box.y + 18)}"'
    yield f'<text class="title" {at}>{_text(shortened(box.of.label))}{_whole(box.of.label)}</text>'


def _node(box: Box, node: Node) -> Iterator[str]:
    middle = _number(box.x + box.width / 2)
    if node.shape == "entry":
        yield f'<circle class="entry" cx="{middle}" cy="{_number(box.y + box.height / 2)}" r="5"/>'
        return
    yield _outline(box, node)
    first = box.y + box.height / 2 - LINE * (len(node.lines) - 1) / 2 + 4.5
    for number, line in enumerate(node.lines):
        small = ' class="small"' if number else ""
        y = _number(first + LINE * number)
        yield f'<text{small} x="{middle}" y="{y}">{_text(shortened(line))}{_whole(line)}</text>'


def _outline(box: Box, node: Node) -> str:
    x, y, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    middle = y + box.height / 2
    match node.shape:
        case "wait" | "approval":
            corners = [
                (x, middle),
                (x + 14, y),
                (right - 14, y),
                (right, middle),
                (right - 14, bottom),
                (x + 14, bottom),
            ]
        case "event":
            corners = [(x, y), (right, y), (right, bottom), (x, bottom), (x + 12, middle)]
        case _:
            radius = box.height / 2 if node.shape in ("start", "end") else 2 if node.shape == "tool" else 8
            sizes = f'width="{_number(box.width)}" height="{_number(box.height)}" rx="{_number(radius)}"'
            return f'<rect class="node {node.shape}" x="{_number(x)}" y="{_number(y)}" {sizes}/>'
    points = " ".join(f"{_number(a)},{_number(b)}" for a, b in corners)
    return f'<polygon class="node {node.shape}" points="{points}"/>'


def _edge(edge: Edge, boxes: Mapping[str, Box]) -> Iterator[str]:
    source, target = boxes[edge.source], boxes[edge.target]
    x, y = source.x + source.width / 2, source.y + source.height
    to_x, to_y = target.x + target.width / 2, target.y
    beside = ""
    if to_y >= y:
        bend = max(14.0, (to_y - y) / 2)
        middle = ((x + to_x) / 2, (y + to_y) / 2)
        path = _curve((x, y), (x, y + bend), (to_x, to_y - bend), (to_x, to_y))
    else:  # back up, along the right side
        side = max(source.x + source.width, target.x + target.width) + SIDE
        apart = source.height / 4 if source is target else 0.0
        x, y = source.x + source.width, source.y + source.height / 2 + apart
        to_x, to_y = target.x + target.width, target.y + target.height / 2 - apart
        middle, beside = (side - 4, (y + to_y) / 2), " beside"
        path = _curve((x, y), (side, y), (side, to_y), (to_x, to_y))
    yield f'<path class="edge {edge.kind}" d="{path}" marker-end="url(#head)"/>'
    if edge.label:
        at = f'x="{_number(middle[0])}" y="{_number(middle[1])}"'
        yield f'<text class="small{beside}" {at}>{_text(shortened(edge.label))}{_whole(edge.label)}</text>'


def _curve(*points: tuple[float, float]) -> str:
    (x, y), *rest = points
    return f"M{_number(x)} {_number(y)}C" + " ".join(f"{_number(a)} {_number(b)}" for a, b in rest)


def _whole(text: str) -> str:
    """What a reader sees who points at a text that had to be shortened."""
    return "" if shortened(text) == text else f"<title>{_text(shortened(text, 2_000))}</title>"


def _text(text: str) -> str:
    """As XML can hold it: markup is shown, and control characters are none of it."""
    return escape("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
