"""The strategy `sequential`, and the rule by which a step hands over to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat import BlockView, Decision, Finish, JsonValue, Settled, Start, Strategy, Way


def outputs_of(settled: Sequence[Settled]) -> list[JsonValue]:
    """What the steps gave, in order. A skipped step gave nothing: it is as if it were not there."""
    return [execution.output for execution in settled if execution.status == "succeeded"]


def input_for_next(first: JsonValue, outputs: Sequence[JsonValue], topic: JsonValue) -> JsonValue:
    """The first step gets `first`, a later one the previous output; the second one also under the names that it reads.

    `topic` is left out when it is None.
    """
    if not outputs:
        return first
    given: dict[str, JsonValue] = {"previous_output": outputs[-1]}
    if len(outputs) == 1:
        given["research_findings"] = outputs[-1]
        if topic is not None:
            given["original_topic"] = topic
    return given


def in_order(steps: Sequence[str]) -> list[Way]:
    """One after another."""
    return [Way(before, after) for before, after in zip((None, *steps), (*steps, None), strict=True)]


def topic_of(given: JsonValue) -> JsonValue:
    """The `topic` of a block's input, if it has one."""
    return given.get("topic") if isinstance(given, Mapping) else None


class Sequential(Strategy):
    """The steps in order, each once; the block's output is that of the last one."""

    name = "sequential"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        outputs = outputs_of(block.settled)
        if len(block.settled) == len(block.steps):
            return Finish(output=outputs[-1] if outputs else None)
        step = block.steps[len(block.settled)]
        return Start(step, input=input_for_next(block.input, outputs, topic_of(block.input)))

    def most_of(self, step: str, block: BlockView) -> int:  # noqa: ARG002 - as the others
        return 1

    def ways(self, block: BlockView) -> list[Way]:
        return in_order(block.steps)
