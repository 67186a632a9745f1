"""Random workflows and random luck, both written on tapes of bytes that hypothesis draws, and shrinks.

To build workflows from bytes costs a tenth of drawing every choice, so ten times as many histories are tried.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from agentplat_testkit.simulation.tape import Tape
from hypothesis import strategies as st

from agentplat.domain.json import JsonValue
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy
from agentplat.domain.workflow import (
    CATCH,
    COMPENSATE,
    FINALLY,
    FOREACH,
    ITEM,
    SINGLE,
    AgentCall,
    Approval,
    Block,
    Body,
    Catch,
    Concurrency,
    Dispatch,
    Emit,
    ForEach,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)

from .rules import CONDITIONS, STRATEGIES, TEMPLATES

SIGNALS = ("approve", "reject")
NAMES = tuple(strategy.name for strategy in STRATEGIES)
POLICIES = (
    DEFAULT_RETRY,
    RetryPolicy(max_attempts=5, initial=timedelta(0)),
    RetryPolicy(max_attempts=1),
    RetryPolicy(max_attempts=2, backoff="linear", on=frozenset({"retryable", "permanent"})),
    RetryPolicy(max_attempts=4, backoff="constant", on=frozenset({"timeout", "refused"})),
)
CALLS: tuple[Body, ...] = (AgentCall("writer"), ToolCall("calculator"))
ONE_AT_A_TIME = Dispatch(concurrency=Concurrency("$count", 1))
CHILDREN: tuple[tuple[Body, Dispatch | None], ...] = (
    (WorkflowCall("another"), None),
    (AgentCall("writer"), Dispatch(queue="far")),
    (WorkflowCall("another", timedelta(hours=1)), Dispatch(queue="far", concurrency=Concurrency("all", 2))),
    (ToolCall("calculator"), ONE_AT_A_TIME),
    (WorkflowCall("another"), ONE_AT_A_TIME),
    (ToolCall("calculator"), Dispatch(concurrency=Concurrency("$broken", 1))),
)
CHILD_INPUTS: tuple[JsonValue, ...] = (*[None] * 6, {"topic": "bees"}, *[{"n": "$count"}] * 3, "$input", "a text")
WAITS: tuple[Body, ...] = (
    SignalWait(SIGNALS[0], timedelta(minutes=1)),
    SignalWait(SIGNALS[0]),
    TimerWait(timedelta(seconds=5)),
    SignalWait(SIGNALS[1], timedelta(minutes=1)),
    Approval(message="$iteration", timeout=timedelta(minutes=1)),
    Approval(message="may I?", assignee="$count", timeout=timedelta(minutes=1), on_timeout="reject"),
    Approval(message="may I?", form={"type": "object"}, timeout=timedelta(minutes=1), on_timeout="approve"),
    Approval(message="may I?"),
    UntilWait("2026-03-01T07:00:00+01:00"),
    UntilWait("$iteration"),
    Emit(event="happened", payload={"n": "$count"}),
)
# What cannot be evaluated comes last and seldom: a task that it ends at once shows little.
INPUTS: tuple[JsonValue, ...] = (*[None] * 30, *TEMPLATES[:4] * 3, {"topic": "bees"}, {"n": "$count"}, *TEMPLATES)
ITEMS: tuple[JsonValue, ...] = (["x"], ["x", "y", "z"], [1, 2], [], ["x", "y", "z", 4, 5], "$input", "$broken")
JOINS: tuple[str | int, ...] = ("all", "settled", "any", 2)
WHENS = (*[None] * 30, *CONDITIONS[:4] * 2, *CONDITIONS)
CROWDED = ("parallel", "window", "eager_lottery", "lottery", "forgiving")
Kinds = Literal["any", "waits", "crowds", "ends", "children"]


def tapes(longest: int = 100) -> st.SearchStrategy[bytes]:
    """Tapes of every length: drawn without it, nearly all would be short."""
    return st.integers(0, longest).flatmap(lambda length: st.binary(min_size=length, max_size=length))


def workflows(kinds: Kinds = "any") -> st.SearchStrategy[Workflow]:
    """Up to three levels of blocks. In a workflow of `waits` most steps wait, in one of `crowds` many run at once."""
    return tapes(120).map(lambda content: _workflow(Tape(content), kinds))


def _workflow(tape: Tape, kinds: Kinds) -> Workflow:
    output = tape.pick((None, None, None, None, None, "$last", 7, "$broken"))
    return Workflow(name="drawn", root=_block(tape, "", 0, kinds), output=output)


def _block(tape: Tape, name: str, depth: int, kinds: Kinds) -> Block:
    strategy = tape.pick(CROWDED if kinds == "crowds" else (*NAMES, *NAMES, SINGLE))
    count = 1 if strategy == SINGLE else tape.pick((1, 2, 3) if depth else (1, 2, 3, 4, 2, 3))
    children: list[Step | Block] = []
    for child in "abcd"[:count]:
        nested = depth < 2 and tape.next() % (8 if kinds == "crowds" else 4) == 3
        node = _block(tape, child, depth + 1, kinds) if nested else _step(tape, child, kinds)
        children.append(_for_each(tape, node) if kinds in ("any", "ends") and tape.next() % 8 == 7 else node)
    ends = _ends(tape, kinds) if depth < 3 and tape.next() % (2 if kinds == "ends" else 6) == 1 else {}
    return Block(
        name=name,
        strategy=strategy,
        steps=tuple(children),
        max_iterations=tape.pick((1, 2, 3)),
        convergence_check=tape.pick((None, "good")),
        until=tape.pick(WHENS),
        options={"join": tape.pick(("all", "any")), "salt": tape.next()},
        input=tape.pick(INPUTS) if depth else None,
        when=tape.pick(WHENS) if depth else None,
        timeout=timedelta(minutes=1) if tape.next() % 16 == 15 else None,
        compensate=_undo(tape, kinds) if depth and tape.next() % (3 if kinds == "ends" else 12) == 2 else None,
        **ends,
    )


def _ends(tape: Tape, kinds: Kinds) -> dict[str, Any]:
    """What deals with failures and ends."""
    which, clauses = tape.next(), []
    for number in range(1, 1 + which % 3):
        on = frozenset(tape.pick((("permanent",), ("retryable",), ("refused", "timeout"), ("permanent", "retryable"))))
        name = CATCH if number == 1 else f"{CATCH}_{number}"
        clauses.append(Catch(on, Block(name=name, strategy="sequential", steps=(_step(tape, "h", kinds),))))
    final = Block(name=FINALLY, strategy="sequential", steps=(_step(tape, "f", kinds),)) if which & 4 else None
    return {"catch": tuple(clauses), "final": final}


def _undo(tape: Tape, kinds: Kinds) -> Block:
    return Block(name=COMPENSATE, strategy=SINGLE, steps=(_step(tape, "u", kinds),))


def _for_each(tape: Tape, node: Step | Block) -> Block:
    items = tape.pick(ITEMS)
    if isinstance(node, Block) and isinstance(node.steps[0], Step):
        first = replace(node.steps[0], input=tape.pick((None, "$item", "$index")))
        node = replace(node, steps=(first, *node.steps[1:]))
    foreach = ForEach(items=items, max_parallel=tape.pick((1, 2, 5)), join=tape.pick(JOINS))
    inner = replace(node, name=ITEM, when=None, input=tape.pick((None, "$item", "$index", "$last", "$iteration")))
    return Block(name=node.name, strategy=FOREACH, steps=(inner,), foreach=foreach, when=node.when)


def _step(tape: Tape, name: str, kinds: Kinds) -> Step:
    draw = tape.next()
    if draw % 10 == (7 if kinds == "any" else 10) or (kinds == "children" and draw % 10 > 2):
        return _child(tape, name)
    waits = draw % 10 > (3 if kinds == "waits" else 7)
    body = tape.pick(WAITS if waits else CALLS)
    retry = tape.pick(POLICIES)
    if kinds == "crowds":
        return Step(name=name, body=body, retry=retry)
    undo = (
        _undo(tape, "crowds")
        if kinds in ("any", "ends") and tape.next() % (3 if kinds == "ends" else 12) == 2
        else None
    )
    return Step(name=name, body=body, input=tape.pick(INPUTS), when=tape.pick(WHENS), retry=retry, compensate=undo)


def _child(tape: Tape, name: str) -> Step:
    body, dispatch = tape.pick(CHILDREN[:-1] if tape.next() % 16 else CHILDREN)
    given, when, retry = tape.pick(CHILD_INPUTS), tape.pick(WHENS), tape.pick(POLICIES)
    return Step(name=name, body=body, dispatch=dispatch, input=given, when=when, retry=retry)
