"""Random histories of one workflow: whatever can happen to it happens, and the laws have to hold."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from agentplat.domain.events import Event, TaskSubmitted
from agentplat.domain.interpreter import Rules
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import Workflow
from agentplat_testkit.histories.plays import StrategyPlay
from agentplat_testkit.histories.search import Broken, shrunk
from agentplat_testkit.simulation.entries import LawBroken, StepEntry
from agentplat_testkit.timelines.naming import names_of
from agentplat_testkit.timelines.timeline import Script


@dataclass(frozen=True)
class Ends:
    """What became of many histories."""

    histories: int
    seconds: float
    ends: Mapping[str, int]  # how many ended with which status
    broken: Broken | None

    @property
    def rate(self) -> float:
        """Histories per second."""
        return self.histories / self.seconds if self.seconds else 0.0


class ScriptedPlay(StrategyPlay):
    """A task with random luck, of which the bodies say what the script says."""

    script: Script

    def record(self, event: Event) -> None:
        if isinstance(event, TaskSubmitted):
            event = TaskSubmitted(type=f"workflow:{self.workflow.name}", input=self.script.input)
        super().record(event)

    def output_of(self, entry: StepEntry, draw: int) -> JsonValue:
        for name in names_of(entry.path):
            outputs = self.script.outputs.get(name)
            if outputs:
                return outputs[draw % len(outputs)]
        return self.script.default(entry) if self.script.default is not None else super().output_of(entry, draw)


def play_many(workflow: Workflow, rules: Rules, script: Script, count: int) -> Ends:
    """So many histories, or as many as it takes to find one that breaks a law; that one is made small."""
    luck, ends, began = random.Random(script.seed or 0), Counter[str](), time.perf_counter()

    def live(tapes: tuple[bytes, bytes, bytes]) -> ScriptedPlay:
        play = ScriptedPlay(workflow, tapes[1], storms=tapes[2], rules=rules)
        play.script = script
        play.run()
        return play

    def fault_of(tapes: tuple[bytes, bytes, bytes]) -> LawBroken | None:
        try:
            live(tapes)
        except LawBroken as error:
            return error
        return None

    for done in range(count):
        tapes = (b"", luck.randbytes(luck.randrange(60)), luck.randbytes(luck.randrange(8)))
        try:
            finished = live(tapes).laws.finished
            ends[finished.status if finished is not None else "open"] += 1
        except LawBroken:
            small = shrunk(tapes, lambda tried: fault_of(tried) is not None)
            error = fault_of(small)
            broken = Broken(str(error), small, "\n".join(getattr(error, "__notes__", [])))
            return Ends(done + 1, time.perf_counter() - began, ends, broken)
    return Ends(count, time.perf_counter() - began, ends, None)
