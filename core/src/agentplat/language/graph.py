"""A workflow as a picture: the text of a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from agentplat.domain.workflow import (
    FOREACH,
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
)

IN_ORDER = frozenset({SINGLE, FOREACH, "sequential", "iterative_refinement"})
"""Strategies whose steps follow each other as the document has them; of others only the strategy knows the order."""


def mermaid(workflow: Workflow) -> str:
    """The flowchart, ending with a line break."""
    lines = ["flowchart TD", f"  start([{_label(workflow.name)}])"]
    lines += _block(workflow.root, "s", "start", "  ")
    lines.append("  finish([done])")
    lines += [f"  {last} --> finish" for last in _last(workflow.root, "s")]
    return "\n".join(lines) + "\n"


def _block(block: Block, prefix: str, before: str, indent: str) -> Iterator[str]:
    """The nodes and edges of a block that is entered from the node `before`."""
    ordered = block.strategy in IN_ORDER
    previous = [before]
    for number, step in enumerate(block.steps, 1):
        node = f"{prefix}{number}"
        yield from _step(step, node, indent)
        condition = f"|{_label('when ' + step.when)}|" if step.when is not None else ""
        for source in previous:
            yield f"{indent}{source} -->{condition} {node}"
        if ordered:
            previous = _ends(step, node)
    if ordered and block.max_iterations > 1:
        goal = block.until or block.convergence_check
        again = f"again, at most {block.max_iterations} times" + (f", until {goal}" if goal else "")
        for source in previous:
            yield f"{indent}{source} -.->|{_label(again)}| {prefix}1"
    for number, clause in enumerate(block.catch, 1):
        yield from _handler(clause.block, f"{prefix}c{number}", before, f"on {', '.join(sorted(clause.on))}", indent)
    if block.final is not None:
        yield from _handler(block.final, f"{prefix}f", before, "finally", indent)


def _handler(block: Block, prefix: str, before: str, when: str, indent: str) -> Iterator[str]:
    """What deals with a failure or an end: on the side, since no way leads through it when all is well."""
    yield f"{indent}{prefix}([{_label(when)}])"
    yield f"{indent}{before} -.-> {prefix}"
    yield from _block(block, f"{prefix}_", prefix, indent)


def _step(step: Step | Block, node: str, indent: str) -> Iterator[str]:
    if isinstance(step, Step):
        yield f"{indent}{node}{_shape(step)}"
        return
    rule = "for each item" if step.foreach is not None else step.strategy
    yield f"{indent}subgraph {node}_block [{_label(f'{_name(step)}: {rule}')}]"
    yield f"{indent}  {node}(( ))"
    yield from _block(step, f"{node}_", node, indent + "  ")
    yield f"{indent}end"


def _shape(step: Step) -> str:
    match step.body:
        case AgentCall(agent):
            return f"[{_label(_name(step), agent)}]"
        case ToolCall(tool):
            return f"[[{_label(_name(step), tool)}]]"
        case TimerWait(duration):
            return f"{{{{{_label(_name(step), f'wait {duration}')}}}}}"
        case SignalWait(signal):
            return f"{{{{{_label(_name(step), f'signal {signal}')}}}}}"
        case UntilWait(until):
            return f"{{{{{_label(_name(step), f'until {until}')}}}}}"
        case Approval():
            return f"{{{{{_label(_name(step), 'approval')}}}}}"
        case Emit():
            return f">{_label(_name(step), f'emit {step.body.event}')}]"


def _name(step: Step | Block) -> str:
    return "each item" if step.name == ITEM else step.name


def _ends(step: Step | Block, node: str) -> list[str]:
    """The nodes from which the way leads on."""
    return _last(step, f"{node}_") if isinstance(step, Block) else [node]


def _last(block: Block, prefix: str) -> list[str]:
    numbered = list(enumerate(block.steps, 1))
    if block.strategy in IN_ORDER:
        numbered = numbered[-1:]
    return [end for number, step in numbered for end in _ends(step, f"{prefix}{number}")]


def _label(text: str, second: str = "") -> str:
    """A quoted label; `second` on a line of its own unless it says the same."""
    lines = [text] if second in ("", text) else [text, second]
    return '"' + "<br/>".join(_escaped(line) for line in lines) + '"'


def _escaped(text: str) -> str:
    shortened = text if len(text) <= 80 else f"{text[:77]}..."
    return "".join(
        char if char.isalnum() or char in " _-.,:$()[]=+/!'" else f"#{ord(char)};"
        for char in shortened.replace("\n", " ")
    )
