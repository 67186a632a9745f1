"""The simulator of the testkit over the strategies of `rules`, of which the laws know more than of foreign ones."""

from __future__ import annotations

from agentplat_testkit.simulation.entries import BlockEntry, law
from agentplat_testkit.simulation.laws import LawBook
from agentplat_testkit.simulation.world import REAL, Core
from agentplat_testkit.simulation.world import Simulation as World

from agentplat.domain.workflow import Block, Workflow

from .rules import STRATEGIES, FakeRules

NAMES = {"single", *(strategy.name for strategy in STRATEGIES)}


class Laws(LawBook):
    rules: FakeRules

    def most_children(self, block: Block) -> int:
        if block.foreach is not None:
            return len(block.foreach.items) if isinstance(block.foreach.items, list) else 1
        if "lottery" in block.strategy:
            return 4 + len(block.steps) + 1  # it starts no more once there are five; all and one more at a time
        if block.strategy not in NAMES:
            return super().most_children(block)
        if block.strategy == "planner":
            return len(block.steps) + 2 * block.max_iterations
        return len(block.steps) * (block.max_iterations if block.strategy == "iterative_refinement" else 1)

    def check_output(self, block: BlockEntry) -> None:
        last = block.settled[-1] if block.settled else None
        outputs = {path.step: (self.steps.get(path) or self.blocks[path]).output for path in block.settled}
        match block.block.strategy, block.block.options.get("join"):
            case "sequential" | "single", _:
                law([path.step for path in block.settled] == [step.name for step in block.block.steps], "in sequence")
                law(last is not None and block.output == outputs[last.step], "the last output is the block's")
            case "iterative_refinement", _:
                law(len(block.settled) % len(block.block.steps) == 0, "iterations are whole")
                law(len(block.settled) <= len(block.block.steps) * block.block.max_iterations, "iterations are bounded")
            case "forgiving", _:
                law({path.step for path in block.settled} == {step.name for step in block.block.steps}, "all are seen")
                law(any(self.phase_of(path) != "failed" for path in block.settled), "something was good")
                seen = {path.step: self.steps.get(path) or self.blocks[path] for path in block.settled}
                told = {
                    step: entry.failure.code.value if entry.failure else entry.output for step, entry in seen.items()
                }
                law(block.output == told, "a strategy sees outputs, and why there is none")
            case "parallel", "any":
                law(block.output == outputs[block.settled[0].step], "the first one in wins a join of any")
            case "parallel" | "patient", "all":
                law(block.output == outputs and len(outputs) == len(block.block.steps), "a join of all waits for all")
            case _:
                pass

    def check_failed_block(self, block: BlockEntry) -> None:
        through = block.phase == "cancelling" and block.block.strategy == "parallel"
        law(not through, "a join of any that is met stays met, whatever becomes of the rest")

    def check_waiting_block(self, block: BlockEntry) -> None:
        if block.block.strategy == "parallel" and block.block.options.get("join") == "any":
            law(not block.settled, "an eager strategy is asked as soon as something settles")

    def check_at_rest(self) -> None:
        law(not self.rules.breaches, "; ".join(self.rules.breaches))
        super().check_at_rest()


class Simulation(World):
    rules: FakeRules

    def __init__(
        self,
        workflow: Workflow,
        tape: bytes = b"",
        *,
        rules: FakeRules | None = None,
        core: Core = REAL,
        storms: bytes = b"",
        laws: type[LawBook] = Laws,
    ) -> None:
        super().__init__(workflow, tape, rules=rules or FakeRules(), core=core, storms=storms, laws=laws)
