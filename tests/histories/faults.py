"""Deliberate faults in strategies, one change of the source each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from agentplat import Strategy


@dataclass(frozen=True)
class Fault:
    what: str
    factory: str  # "module:Class"
    old: str
    new: str
    caught: str  # what the laws say

    @property
    def module(self) -> str:
        return self.factory.partition(":")[0]


FAULTS = (
    Fault(
        "parallel starts again what has ended",
        "agentplat_strategy_graph.parallel:Parallel",
        "if step not in ended and step not in block.open",
        "if step not in block.open",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "parallel forgets, when it has stopped the rest, that it was done",
        "agentplat_strategy_graph.parallel:Parallel",
        "    if succeeded:\n        return Finish",
        "    if succeeded and (block.open or not outstanding):\n        return Finish",
        "ended its block with",
    ),
    Fault(
        "dag starts what is under way",
        "agentplat_strategy_graph.needs:ByNeeds",
        "if step in ended or step in block.open:",
        "if step in ended:",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "dag waits for nothing",
        "agentplat_strategy_graph.needs:ByNeeds",
        "return Wait() if block.open else _end(block, needs, ended)",
        "return Wait()",
        "nothing is under way",
    ),
    Fault(
        "map_reduce reduces a batch once more while it is being reduced",
        "agentplat_strategy_graph.map_reduce:MapReduce",
        "begun = len(reduced) + block.open.count(reducing)",
        "begun = len(reduced)",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "router asks for ever",
        "agentplat_strategy_graph.router:Router",
        'asked <= _number(block, "ask_again")',
        "asked > 0",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "router writes into the input that it was shown",
        "agentplat_strategy_graph.router:Router",
        'return {**fields, "problem": problem, "allowed": list(allowed)}',
        'fields["problem"] = problem\n    return fields',
        "changes what it is shown",
    ),
    Fault(
        "vote takes more samples than it was told",
        "agentplat_strategy_team.vote:Vote",
        "range(samples - block.count(step) - block.open.count(step))",
        "range(samples - block.count(step))",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "vote lets a late failure undo what was decided",
        "agentplat_strategy_team.vote:Vote",
        "counted = votes if broken is None else votes[:broken]",
        "counted = votes if broken is None else []",
        "ended its block with",
    ),
    Fault(
        "debate goes on for a round too long",
        "agentplat_strategy_team.debate:Debate",
        "elif place == 0 and finished and (finished >= rounds or _each_round(block)):",
        "elif place == 0 and finished and (finished > rounds or _each_round(block)):",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "supervisor has no cap",
        "agentplat_strategy_team.supervisor:Supervisor",
        "if len(orders) < turns else _at_the_cap(block, supervisor)",
        "if turns else _at_the_cap(block, supervisor)",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "handoff has no cap",
        "agentplat_strategy_team.handoff:Handoff",
        "at_the_cap = len(block.settled) >= turns",
        "at_the_cap = False",
        "goes on after|executes \\w+ \\d+ times",
    ),
    Fault(
        "group_chat lets somebody speak who is not there",
        "agentplat_strategy_team.group_chat:GroupChat",
        "return Start(chosen, input=given)",
        "return Start(str(choice), input=given)",
        "which the block does not have",
    ),
    Fault(
        "plan_execute plans what is planned",
        "agentplat_strategy_team.plan_execute:PlanExecute",
        "if any(name not in block.planned for name in names):",
        "if names and not block.count(names[-1]):",
        "expands its block more than",
    ),
    Fault(
        "reactive remembers the last block",
        "agentplat_strategy_reactive.reactive:Reactive",
        "board = Blackboard(block.input)",
        "board = self.__dict__.setdefault('board', Blackboard(block.input))",
        "otherwise when it is asked again",
    ),
    Fault(
        "reactive has one turn too many",
        "agentplat_strategy_reactive.reactive:Reactive",
        "if len(due) > left:",
        "if left < 0:",
        "goes on after|executes \\w+ \\d+ times",
    ),
)


@contextmanager
def faulty(fault: Fault) -> Iterator[type[Strategy]]:
    """The class from a copy of its module with the fault in it."""
    module, _, name = fault.factory.partition(":")
    source = Path(str(import_module(module).__file__)).read_text(encoding="utf-8")
    assert source.count(fault.old) == 1, f"this has to be there once, to be replaced: {fault.old!r}"
    copy = ModuleType(f"faulty_{name.lower()}")
    sys.modules[copy.__name__] = copy  # where dataclasses look for the names in annotations
    try:
        exec(compile(source.replace(fault.old, fault.new), f"<{copy.__name__}>", "exec"), copy.__dict__)
        yield getattr(copy, name)
    finally:
        del sys.modules[copy.__name__]
