"""Workflows that call each other in every task, so that none of their tasks can ever end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agentplat.domain.workflow import SINGLE, Block, Step, Workflow, WorkflowCall
from agentplat.language.steps import IN_ORDER

Known = Callable[[str], Workflow | None]


def certain_calls(block: Block) -> Iterator[Step]:
    """The steps of the block, and below it, that call a workflow whenever all goes well."""
    if block.foreach is None and block.strategy in (SINGLE, *IN_ORDER):
        for node in block.steps:
            if node.when is None and isinstance(node, Block):
                yield from certain_calls(node)
            elif node.when is None and isinstance(node, Step) and isinstance(node.body, WorkflowCall):
                yield node
    if block.final is not None:
        yield from certain_calls(block.final)


def way_back(workflow: Workflow, called: str, known: Known) -> tuple[str, ...]:
    """The names over which `called` leads back to `workflow` in every task, both included; nothing if it does not."""
    trails: list[tuple[str, ...]] = [(called,)]
    seen = {called}
    while trails:
        trail = trails.pop(0)
        if trail[-1] == workflow.name:
            return trail
        reached = known(trail[-1])
        for step in certain_calls(reached.root) if reached is not None else ():
            assert isinstance(step.body, WorkflowCall)
            name = step.body.workflow
            if name not in seen:
                seen.add(name)
                trails.append((*trail, name))
    return ()
