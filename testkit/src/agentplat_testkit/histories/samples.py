"""Random workflows of given strategies, nested in each other, and what is to be known of a strategy to draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from agentplat.domain.json import JsonValue
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy
from agentplat.domain.strategy import BlockView
from agentplat.domain.workflow import (
    FOREACH,
    ITEM,
    AgentCall,
    Block,
    Body,
    Concurrency,
    Dispatch,
    ForEach,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    Workflow,
    WorkflowCall,
)
from agentplat_testkit.simulation.tape import Tape

Options = Mapping[str, JsonValue]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How blocks of one strategy are drawn. Its steps are called step_0, step_1 and so on."""

    strategy: str
    output_of: Callable[[str, BlockView, Tape], JsonValue]  # what a step says that succeeds
    min_steps: int = 1
    variants: Sequence[Options] = ({},)
    step_variants: Sequence[Options] = ({},)
    has_needs: bool = False

    def needs(self, steps: Sequence[str], tape: Tape) -> dict[str, tuple[str, ...]]:
        """Needs without a ring: each step may need those before it."""
        if not self.has_needs:
            return {}
        drawn = {}
        for place, step in enumerate(steps):
            mask = tape.next()
            wanted = tuple(other for bit, other in enumerate(steps[:place]) if mask >> bit & 1)
            if wanted:
                drawn[step] = wanted
        return drawn


POLICIES = (
    DEFAULT_RETRY,
    RetryPolicy(max_attempts=1),
    RetryPolicy(max_attempts=4, initial=timedelta(0)),
    RetryPolicy(max_attempts=2, backoff="linear", on=frozenset({"retryable", "permanent"})),
)
CALLS: tuple[Body, ...] = (AgentCall("writer"), AgentCall("reader"), ToolCall("calculator"))
WAITS: tuple[Body, ...] = (SignalWait("approve", timedelta(minutes=1)), TimerWait(timedelta(seconds=5)))
CHILDREN: tuple[tuple[Body, Dispatch], ...] = (
    (WorkflowCall("another"), Dispatch()),
    (AgentCall("writer"), Dispatch(queue="far")),
    (ToolCall("calculator"), Dispatch(concurrency=Concurrency("${{ iteration }}", 1))),
)
# Most steps say nothing of the kind; what cannot be evaluated comes last and seldom.
WHENS = (*[None] * 40, *["iteration == 1", "false", "true"] * 2, "steps.nobody.output.x > 1")
GOOD_INPUTS: tuple[JsonValue, ...] = ({"n": "${{ iteration }}"}, "${{ input.topic }}")
INPUTS: tuple[JsonValue, ...] = (*[None] * 40, *GOOD_INPUTS * 2, "${{ 1 / 0 }}")

JOINS: tuple[str | int, ...] = ("all", "settled", "any", 2)
ITEMS: tuple[JsonValue, ...] = (["x", "y"], ["x"], [], [1, 2, 3], "${{ input.topic }}")


def drawn_workflow(samples: Sequence[Sample], tape: Tape) -> Workflow:
    """A workflow of up to three levels of blocks."""
    return Workflow(name="drawn", root=_block(samples, tape, "", 0))


def _block(samples: Sequence[Sample], tape: Tape, name: str, depth: int) -> Block:
    sample = tape.pick(samples)
    names = [f"step_{place}" for place in range(sample.min_steps + tape.next() % 3)]
    needs = sample.needs(names, tape)
    steps: list[Step | Block] = []
    for child in names:
        told = tape.pick(sample.step_variants)
        wanted = needs.get(child, ())
        node: Step | Block
        if depth < 2 and tape.next() % 5 == 4:
            node = replace(_block(samples, tape, child, depth + 1), needs=wanted, step_options=told)
        else:
            node = _step(tape, child, wanted, told)
        steps.append(_for_each(tape, node) if tape.next() % 12 == 11 else node)
    return Block(
        name=name,
        strategy=sample.strategy,
        steps=tuple(steps),
        max_iterations=tape.pick((1, 2, 3)),
        until=tape.pick((None, None, "iteration == 2")),
        options=tape.pick(sample.variants),
        when=tape.pick(WHENS) if depth else None,
        input=tape.pick(INPUTS) if depth else None,
    )


def _for_each(tape: Tape, node: Step | Block) -> Block:
    """The node, once for each of some items."""
    foreach = ForEach(items=tape.pick(ITEMS), max_parallel=tape.pick((1, 2)), join=tape.pick(JOINS))
    inner = replace(node, name=ITEM, when=None, needs=(), step_options={}, input=tape.pick((None, "${{ item }}")))
    return Block(
        name=node.name,
        strategy=FOREACH,
        steps=(inner,),
        foreach=foreach,
        when=node.when,
        needs=node.needs,
        step_options=node.step_options,
    )


def _step(tape: Tape, name: str, needs: tuple[str, ...], told: Options) -> Step:
    draw, dispatch = tape.next() % 16, None
    body = tape.pick(WAITS if draw == 15 else CALLS)
    if draw == 14:
        body, dispatch = tape.pick(CHILDREN)
    return Step(
        name=name,
        body=body,
        dispatch=dispatch,
        retry=tape.pick(POLICIES),
        when=tape.pick(WHENS),
        input=tape.pick(INPUTS),
        needs=needs,
        step_options=told,
    )
