"""Random workflows and random luck, both written on tapes of bytes that hypothesis draws, and shrinks.

To build workflows from bytes costs a tenth of drawing every choice, so ten times as many histories are tried.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from agentplat_testkit.simulation.tape import Tape
from hypothesis import strategies as st

from agentplat.domain.json import JsonValue
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy
from agentplat.domain.workflow import SINGLE, AgentCall, Block, Body, SignalWait, Step, TimerWait, ToolCall, Workflow

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
WAITS: tuple[Body, ...] = (
    SignalWait(SIGNALS[0], timedelta(minutes=1)),
    SignalWait(SIGNALS[0]),
    TimerWait(timedelta(seconds=5)),
    SignalWait(SIGNALS[1], timedelta(minutes=1)),
)
# What cannot be evaluated comes last and seldom: a task that it ends at once shows little.
INPUTS: tuple[JsonValue, ...] = (*[None] * 30, *TEMPLATES[:4] * 3, {"topic": "bees"}, {"n": "$count"}, *TEMPLATES)
WHENS = (*[None] * 30, *CONDITIONS[:4] * 2, *CONDITIONS)
CROWDED = ("parallel", "window", "eager_lottery", "lottery", "forgiving")
Kinds = Literal["any", "waits", "crowds"]


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
        children.append(_block(tape, child, depth + 1, kinds) if nested else _step(tape, child, kinds))
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
    )


def _step(tape: Tape, name: str, kinds: Kinds) -> Step:
    waits = tape.next() % 10 > (3 if kinds == "waits" else 7)
    body = tape.pick(WAITS if waits else CALLS)
    retry = tape.pick(POLICIES)
    if kinds == "crowds":
        return Step(name=name, body=body, retry=retry)
    return Step(name=name, body=body, input=tape.pick(INPUTS), when=tape.pick(WHENS), retry=retry)
