"""Many histories, as fast as they come, until one breaks a law; that one is made as small as it can be."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentplat.domain.strategy import Strategy
from agentplat_testkit.histories.plays import PlainRules, StrategyPlay
from agentplat_testkit.histories.samples import Sample, drawn_workflow
from agentplat_testkit.simulation.entries import LawBroken
from agentplat_testkit.simulation.tape import Tape
from agentplat_testkit.simulation.world import REAL, Core

Tapes = tuple[bytes, bytes, bytes]  # of the workflow, of luck, of crashes
LONGEST = (60, 50, 8)


@dataclass(frozen=True)
class Broken:
    """A history that breaks a law, as short as it could be made."""

    law: str
    tapes: Tapes
    trace: str  # the workflow and its journal


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    histories: int
    events: int
    seconds: float  # of the processor
    broken: Broken | None

    @property
    def rate(self) -> float:
        """Histories per second of one processor."""
        return self.histories / self.seconds if self.seconds else 0.0


class Search:
    """Draws workflows of the samples, and lives a task of each."""

    def __init__(self, samples: Sequence[Sample], strategies: Mapping[str, Strategy], core: Core = REAL) -> None:
        self.samples = tuple(samples)
        self.by_name = {sample.strategy: sample for sample in samples}
        self.rules = PlainRules(strategies)
        self.core = core

    def live(self, tapes: Tapes) -> StrategyPlay:
        """One history. Raises LawBroken."""
        workflow = drawn_workflow(self.samples, Tape(tapes[0]))
        task = StrategyPlay(workflow, tapes[1], storms=tapes[2], rules=self.rules, core=self.core, samples=self.by_name)
        task.thorough = tapes[1][:1] <= b"\x40"  # every fourth journal is read again
        task.run()
        return task

    def run(self, count: int, seed: int) -> Found:
        """So many histories, or as many as it takes to find one that breaks a law."""
        luck, events, began = random.Random(seed), 0, time.process_time()
        for done in range(count):
            tapes = (_bytes(luck, LONGEST[0]), _bytes(luck, LONGEST[1]), _bytes(luck, LONGEST[2]))
            try:
                events += self.live(tapes).length
            except LawBroken:
                return Found(done + 1, events, time.process_time() - began, self.smallest(tapes))
        return Found(count, events, time.process_time() - began, None)

    def smallest(self, tapes: Tapes) -> Broken:
        """The same fault with tapes as short, and bytes as low, as they can be."""
        small = shrunk(tapes, lambda tried: self.broken(tried) is not None)
        broken = self.broken(small)
        assert broken is not None
        return Broken(str(broken), small, "\n".join(getattr(broken, "__notes__", [])))

    def broken(self, tapes: Tapes) -> LawBroken | None:
        """The law that a history breaks."""
        try:
            self.live(tapes)
        except LawBroken as error:
            return error
        return None


def _bytes(luck: random.Random, longest: int) -> bytes:
    return luck.randbytes(luck.randrange(longest + 1))


def shrunk(tapes: Tapes, fails: Callable[[Tapes], bool]) -> Tapes:
    """Tapes that still fail, of which no piece can be left out and no byte lowered."""
    current = list(tapes)
    changed = True
    while changed:
        changed = False
        for place, tape in enumerate(current):
            for smaller in _smaller(tape):
                tried = (*current[:place], smaller, *current[place + 1 :])
                if fails((tried[0], tried[1], tried[2])):
                    current[place] = smaller
                    changed = True
                    break
            if changed:
                break
    return current[0], current[1], current[2]


def _smaller(tape: bytes) -> Sequence[bytes]:
    """Tapes that are shorter or lower, the boldest ones first."""
    found: list[bytes] = []
    size = len(tape)
    while size:
        found.extend(tape[:start] + tape[start + size :] for start in range(0, len(tape) - size + 1, size))
        size //= 2
    for place, byte in enumerate(tape):
        lower = sorted({0, byte // 2, byte - 1} - {byte}) if byte else ()
        found.extend(tape[:place] + bytes([value]) + tape[place + 1 :] for value in lower)
    return found
