"""What a retry or a fork does differently, held against what its source has done."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from agentplat.domain.errors import InputRejected
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.state import State
from agentplat.domain.workflow import AgentCall, Block, Step, ToolCall, WorkflowCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What the new task does differently: from which execution on, with which input, with which outputs."""

    start: StepPath | None = None
    input: JsonObject | None = None  # of `start`
    outputs: Mapping[StepPath, JsonValue] = field(default_factory=dict)


def refuse_misfits(source: State, edits: Edits) -> None:
    """InputRejected, with every edit of what the source has not begun, or of what takes none."""
    known = {*source.executions, *source.blocks} - {StepPath()}
    wrong = [
        (pointer, f"names {str(path)!r}, which the task has not begun. It has begun: {_listed(known)}")
        for pointer, path in _named(edits)
        if path not in known
    ]
    for path in edits.outputs:
        if edits.start is not None and (
            path == edits.start or is_below(edits.start, path) or is_below(path, edits.start)
        ):
            wrong += [(_pointer(path), f"is part of what runs again: from {str(edits.start)!r} on")]
    if edits.input is not None and edits.start in known:
        wrong += [("/input", f"is no input of {str(edits.start)!r}, which {why}") for why in _takes_none(source, edits)]
    if wrong:
        raise InputRejected("What is to be done differently", wrong)


def _takes_none(source: State, edits: Edits) -> Iterator[str]:
    """Why `start` can be given no other input, if it cannot."""
    start = edits.start
    node = source.node(start) if start is not None else None
    if isinstance(node, Step) and not isinstance(node.body, AgentCall | ToolCall | WorkflowCall):
        yield "waits, or tells something, and takes none"
    elif isinstance(node, Block) and node.foreach is not None:
        yield "goes through a list. Begin from one of its items, or from the step before"
    elif isinstance(node, Block) and start in source.executions:
        yield "could not begin. Begin from the step before"


def refuse_undecided(edits: Edits, undecided: Collection[StepPath]) -> None:
    """InputRejected, with every edit of what is decided anew because of another one."""
    wrong = [
        (_pointer(path), f"is of {str(path)!r}, which is decided anew, since it began after something that is edited")
        for path in edits.outputs
        if path in undecided
    ]
    if edits.start in undecided and edits.input is not None:
        reason = f"is of {str(edits.start)!r}, whose input follows from an edited output. Leave one of the two out"
        wrong.append(("/input", reason))
    if wrong:
        raise InputRejected("What is to be done differently", wrong)


def _named(edits: Edits) -> Iterator[tuple[str, StepPath]]:
    if edits.start is not None:
        yield "/from", edits.start
    for path in edits.outputs:
        yield _pointer(path), path


def _pointer(path: StepPath) -> str:
    return "/outputs/" + str(path).replace("~", "~0").replace("/", "~1")


def is_below(path: StepPath, around: StepPath) -> bool:
    """Whether `path` lies in the block at `around`."""
    return len(path) > len(around) and path[: len(around)] == around


def _listed(paths: Collection[StepPath]) -> str:
    names = sorted(map(str, paths))
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") if names else "nothing"
