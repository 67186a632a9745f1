"""A workflow as nodes, edges and groups: what every picture of it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from agentplat.domain.workflow import (
    ITEM,
    SINGLE,
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
from agentplat_analysis.words import duration

IN_ORDER = frozenset({SINGLE, "sequential", "iterative_refinement"})
"""Strategies whose steps follow each other as the document has them; of others only the strategy knows the order."""

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


def draw(workflow: Workflow) -> Group:
    """The whole workflow. The same workflow gives the same drawing."""
    group = Group("workflow")
    group.members.append(Node("start", "start", (workflow.name,)))
    ends = _block(group, workflow.root, "s", ["start"])
    group.members.append(Node("finish", "end", ("done",)))
    group.edges += [Edge(end, "finish") for end in ends]
    return group


def _block(group: Group, block: Block, prefix: str, before: Sequence[str]) -> list[str]:
    """Adds a block's nodes and edges to `group`; the nodes from which the way leads on."""
    if block.foreach is not None:
        ends = _step(group, block.steps[0], f"{prefix}1", before)
    elif block.strategy not in IN_ORDER:
        ends = _by_needs(group, block, prefix, before)
    else:
        ends = _in_order(group, block, prefix, before)
    for number, clause in enumerate(block.catch, 1):
        inner = _nested(group, f"{prefix}c{number}", f"catch {', '.join(sorted(clause.on))}")
        _enter(group, before, inner.entry, "failure", on="failure")
        ends += _block(inner, clause.block, f"{prefix}c{number}_", [inner.entry])
    if block.final is not None:
        inner = _nested(group, f"{prefix}f", "finally")
        _enter(group, ends, inner.entry, "always")
        ends = _block(inner, block.final, f"{prefix}f_", [inner.entry])
    return ends


def _in_order(group: Group, block: Block, prefix: str, before: Sequence[str]) -> list[str]:
    ends = list(before)
    for number, step in enumerate(block.steps, 1):
        ends = _step(group, step, f"{prefix}{number}", ends)
    if block.max_iterations > 1:
        goal = block.until or block.convergence_check
        again = f"again, at most {block.max_iterations} times" + (f", until {goal}" if goal else "")
        group.edges += [Edge(end, f"{prefix}1", again, "again") for end in ends]
    return ends


def _by_needs(group: Group, block: Block, prefix: str, before: Sequence[str]) -> list[str]:
    """Each step after those that it needs; side by side where none says so."""
    ids = {step.name: f"{prefix}{number}" for number, step in enumerate(block.steps, 1)}
    ends: dict[str, list[str]] = {}
    needed = {need for step in block.steps for need in step.needs}
    for step in _after_needs(block.steps):
        sources = [end for need in step.needs for end in ends.get(need, [])]
        ends[step.name] = _step(group, step, ids[step.name], sources or before)
    return [end for step in block.steps if step.name not in needed for end in ends[step.name]]


def _after_needs(steps: Iterable[Step | Block]) -> list[Step | Block]:
    """In the order of the document, but none before what it needs."""
    waiting, done, found = {step.name: step for step in steps}, set[str](), list[Step | Block]()
    while waiting:
        ready = [step for step in waiting.values() if all(need in done or need not in waiting for need in step.needs)]
        for step in ready or list(waiting.values()):
            del waiting[step.name]
            done.add(step.name)
            found.append(step)
    return found


def _step(group: Group, step: Step | Block, id: str, before: Sequence[str]) -> list[str]:
    label = f"when {step.when}" if step.when is not None else ""
    group_edges = [Edge(source, id, label) for source in before]
    if isinstance(step, Step):
        group.members.append(Node(id, *_shown(step)))
        ends = [id]
    else:
        inner = _nested(group, id, _title(step))
        ends = _block(inner, step, f"{id}_", [id])
    group.edges += group_edges
    if step.compensate is not None:
        undoing = _nested(group, f"{id}u", f"undo {step.name}")
        group.edges.append(Edge(id, undoing.entry, "", "undo"))
        _block(undoing, step.compensate, f"{id}u_", [undoing.entry])
    return ends


def _nested(group: Group, id: str, label: str) -> Group:
    """A group inside of another, with the node by which it is entered."""
    inner = Group(f"{id}_block", label, [Node(id, "entry")])
    group.members.append(inner)
    return inner


def _enter(group: Group, ends: Sequence[str], target: str, kind: Kind, on: str = "") -> None:
    group.edges += [Edge(end, target, on, kind) for end in ends]


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
