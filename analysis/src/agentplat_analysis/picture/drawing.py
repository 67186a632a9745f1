"""A workflow as nodes, edges and groups: what every picture of it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, NamedTuple, TypeAlias

from agentplat.domain.workflow import (
    ITEM,
    AgentCall,
    Approval,
    Block,
    Emit,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)
from agentplat_analysis.picture.ways import Strategies, ways_of
from agentplat_analysis.words import duration

Shape: TypeAlias = Literal["agent", "tool", "workflow", "wait", "approval", "event", "entry", "start", "end"]
Kind: TypeAlias = Literal["next", "again", "failure", "undo", "always"]
"""How an edge is gone along: after success, once more, after a failure, to undo it, whatever came of it."""


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    shape: Shape
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    label: str = ""
    kind: Kind = "next"


@dataclass(slots=True)
class Group:
    """A block with what is in it, in the order of the document."""

    id: str
    label: str = ""
    members: list[Node | Group] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)  # those whose ends are both in it, and in no smaller group

    @property
    def entry(self) -> str:
        """The node by which it is entered."""
        return self.id.removesuffix("_block")


def draw(workflow: Workflow, strategies: Strategies) -> Group:
    """The whole workflow. The same workflow and strategies give the same drawing."""
    group = Group("workflow")
    group.members.append(Node("start", "start", (workflow.name,)))
    ends = _Drawer(strategies).block(group, workflow.root, "s", [_End("start")])
    group.members.append(Node("finish", "end", ("done",)))
    _lead(group, ends, "finish")
    return group


class _End(NamedTuple):
    """A node from which the way leads on, and under which condition."""

    node: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Drawer:
    strategies: Strategies

    def block(self, group: Group, block: Block, prefix: str, before: Sequence[_End]) -> list[_End]:
        """Adds a block's nodes and edges to `group`; from where the way leads on."""
        if block.foreach is not None:
            ends = self._step(group, block.steps[0], f"{prefix}1")
            _lead(group, before, f"{prefix}1", _condition(block.steps[0]))
        else:
            ends = self._steps(group, block, prefix, before)
        for number, clause in enumerate(block.catch, 1):
            inner = _nested(group, f"{prefix}c{number}", f"catch {', '.join(sorted(clause.on))}")
            _lead(group, before, inner.entry, "failure", kind="failure")
            ends = [*ends, *self.block(inner, clause.block, f"{prefix}c{number}_", [_End(inner.entry)])]
        if block.final is not None:
            inner = _nested(group, f"{prefix}f", "finally")
            _lead(group, ends, inner.entry, kind="always")
            ends = self.block(inner, block.final, f"{prefix}f_", [_End(inner.entry)])
        return ends

    def _steps(self, group: Group, block: Block, prefix: str, before: Sequence[_End]) -> list[_End]:
        """The steps with the ways between them, as the block's strategy goes."""
        ids = {step.name: f"{prefix}{number}" for number, step in enumerate(block.steps, 1)}
        inner = [self._step(group, step, f"{prefix}{number}") for number, step in enumerate(block.steps, 1)]
        ends = dict(zip(ids, inner, strict=False))
        conditions = {step.name: _condition(step) for step in block.steps}
        goal, leaving = block.until or block.convergence_check, list[_End]()
        for way in ways_of(block, self.strategies):
            sources = before if way.source is None else ends[way.source]
            if way.target is None:
                leaving += [_End(source, _joined(label, way.label)) for source, label in sources]
                continue
            until = f"until {goal}" if way.again and way.label and goal else ""
            label = _joined(way.label, until, conditions[way.target])
            _lead(group, sources, ids[way.target], label, "again" if way.again else "next")
        return leaving

    def _step(self, group: Group, step: Step | Block, id: str) -> list[_End]:
        if isinstance(step, Step):
            group.members.append(Node(id, *_shown(step)))
            ends = [_End(id)]
        else:
            inner = _nested(group, id, _title(step))
            ends = self.block(inner, step, f"{id}_", [_End(id)])
        if step.compensate is not None:
            undoing = _nested(group, f"{id}u", f"undo {step.name}")
            group.edges.append(Edge(id, undoing.entry, "", "undo"))
            self.block(undoing, step.compensate, f"{id}u_", [_End(undoing.entry)])
        return ends


def _lead(group: Group, ends: Iterable[_End], target: str, label: str = "", kind: Kind = "next") -> None:
    group.edges += [Edge(end.node, target, _joined(end.label, label), kind) for end in ends]


def _joined(*labels: str) -> str:
    return ", ".join(label for label in labels if label)


def _condition(step: Step | Block) -> str:
    return f"when {step.when}" if step.when is not None else ""


def _nested(group: Group, id: str, label: str) -> Group:
    """A group inside of another, with the node by which it is entered."""
    inner = Group(f"{id}_block", label, [Node(id, "entry")])
    group.members.append(inner)
    return inner


def _title(block: Block) -> str:
    named = "" if block.name == ITEM else f"{block.name}: "
    if block.foreach is not None:
        return f"{named}for each of {block.foreach.items}, at most {block.foreach.max_parallel} at a time"
    return f"{named}{block.strategy}"


def _shown(step: Step) -> tuple[Shape, tuple[str, ...]]:
    match step.body:
        case AgentCall(agent):
            return "agent", _lines(step.name, agent, *_where(step))
        case ToolCall(tool):
            return "tool", _lines(step.name, tool, *_where(step))
        case WorkflowCall(workflow):
            return "workflow", _lines(step.name, f"workflow {workflow}", *_where(step))
        case TimerWait(pause):
            return "wait", _lines(step.name, f"wait {duration(pause.total_seconds())}")
        case SignalWait(signal, timeout):
            return "wait", _lines(step.name, f"signal {signal}{_within(timeout)}")
        case UntilWait(until):
            return "wait", _lines(step.name, f"until {until}")
        case Approval():
            of = f" of {step.body.assignee}" if step.body.assignee else ""
            return "approval", _lines(step.name, f"approval{of}{_within(step.body.timeout)}")
        case Emit():
            return "event", _lines(step.name, f"emit {step.body.event}")


def _where(step: Step) -> Iterator[str]:
    """Where its tasks run, and how many at a time."""
    if step.dispatch is not None and step.dispatch.queue is not None:
        yield f"on queue {step.dispatch.queue}"
    if step.dispatch is not None and step.dispatch.concurrency is not None:
        limited = step.dispatch.concurrency
        yield f"at most {limited.limit} at a time of {limited.key}"


def _within(timeout: timedelta | None) -> str:
    return "" if timeout is None else f" within {duration(timeout.total_seconds())}"


def _lines(name: str, *what: str) -> tuple[str, ...]:
    """All, unless they say the same; of an item its name is no name."""
    return tuple(dict.fromkeys(line for line in (name, *what) if line != ITEM))
