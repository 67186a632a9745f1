"""Where the parts of a drawing go: in layers, from top to bottom, each group by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentplat_analysis.picture.drawing import Edge, Group, Node

CHARACTER, LINE = 7.2, 18.0
LONGEST = 42  # characters of a label
PAD, HEAD = 16.0, 24.0
GAP, LAYER_GAP = 24.0, 44.0
SIDE = 28.0  # how far beside the boxes a way leads back
SWEEPS = 4


@dataclass(slots=True)
class Box:
    """A node or a group with its place; children are relative to nothing, all places are those of the picture."""

    of: Node | Group
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    inside: list[Box] = field(default_factory=list)

    def move(self, x: float, y: float) -> None:
        """Shift it and all that is in it."""
        self.x, self.y = self.x + x, self.y + y
        for box in self.inside:
            box.move(x, y)

    def all(self) -> Iterator[Box]:
        """It and all that is in it, outer ones first."""
        yield self
        for box in self.inside:
            yield from box.all()


def laid_out(group: Group) -> Box:
    """The group and all that is in it, at their places."""
    boxes = [_node(member) if isinstance(member, Node) else laid_out(member) for member in group.members]
    owner = {name: number for number, box in enumerate(boxes) for name in _ids(box)}
    ways = [
        (owner[edge.source], owner[edge.target])
        for edge in group.edges
        if edge.kind != "again" and edge.source in owner and edge.target in owner
    ]
    layers = _layers(len(boxes), [way for way in ways if way[0] != way[1]])
    width = max(sum(boxes[n].width for n in layer) + GAP * (len(layer) - 1) for layer in layers)
    back = [edge for edge in group.edges if edge.kind == "again"]
    width = max(width, _wide(group.label), *(_wide(edge.label) for edge in group.edges if edge not in back))
    aside = max((SIDE + _wide(edge.label) for edge in back), default=0.0)
    y = PAD + (HEAD if group.label else 0.0)
    for layer in layers:
        x = PAD + (width - sum(boxes[n].width for n in layer) - GAP * (len(layer) - 1)) / 2
        height = max(boxes[n].height for n in layer)
        for number in layer:
            box = boxes[number]
            box.move(x, y + (height - box.height) / 2)
            x += box.width + GAP
        y += height + LAYER_GAP
    return Box(group, width + 2 * PAD + aside, y - LAYER_GAP + PAD, inside=boxes)


def shortened(text: str, most: int = LONGEST) -> str:
    """`text` on one line, and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _wide(label: str) -> float:
    return CHARACTER * len(shortened(label))


def _node(node: Node) -> Box:
    if node.shape == "entry":
        return Box(node, 12, 12)
    longest = max((len(shortened(line)) for line in node.lines), default=4)
    slack = 44 if node.shape in ("approval", "wait") else 28
    return Box(node, max(64.0, CHARACTER * longest + slack), LINE * max(1, len(node.lines)) + 18)


def _ids(box: Box) -> Iterator[str]:
    return (each.of.id for each in box.all())


def _layers(count: int, ways: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Each part below all from which a way leads to it; within a layer close to those."""
    into: dict[int, list[int]] = {number: [] for number in range(count)}
    out: dict[int, list[int]] = {number: [] for number in range(count)}
    for source, target in dict.fromkeys(ways):
        into[target].append(source)
        out[source].append(target)
    rank = _ranks(count, into, out)
    layers: list[list[int]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for number in range(count):
        layers[rank[number]].append(number)
    for sweep in range(SWEEPS):
        neighbours = into if sweep % 2 == 0 else out
        place = {number: n / len(layer) for layer in layers for n, number in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            layer.sort(key=lambda number, of=neighbours, at=place: _middle(number, of, at))  # type: ignore[misc]
            place.update((number, n / len(layer)) for n, number in enumerate(layer))
    return [layer for layer in layers if layer]


def _middle(number: int, neighbours: Mapping[int, list[int]], place: Mapping[int, float]) -> float:
    near = neighbours[number]
    return sum(place[each] for each in near) / len(near) if near else place[number]


def _ranks(count: int, into: Mapping[int, list[int]], out: Mapping[int, list[int]]) -> dict[int, int]:
    """The length of the longest way to each; a ring is entered at its first part."""
    rank = dict.fromkeys(range(count), 0)
    missing = {number: len(into[number]) for number in range(count)}
    ready = [number for number in range(count) if not missing[number]]
    done: set[int] = set()
    while len(done) < count:
        if not ready:
            ready = [next(number for number in range(count) if number not in done)]
        number = ready.pop(0)
        if number in done:
            continue
        done.add(number)
        for target in out[number]:
            if target not in done:
                rank[target] = max(rank[target], rank[number] + 1)
                missing[target] -= 1
                if not missing[target]:
                    ready.append(target)
    return rank


def edges_of(group: Group) -> Iterator[Edge]:
    """All edges of the drawing."""
    yield from group.edges
    for member in group.members:
        if isinstance(member, Group):
            yield from edges_of(member)
