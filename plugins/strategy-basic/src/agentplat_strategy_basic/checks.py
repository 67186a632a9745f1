"""When an iteration is good enough: pure functions of its last output and the block's options."""

from __future__ import annotations

from collections.abc import Mapping

from agentplat import FailureCode, JsonValue, StepError

DEFAULT_THRESHOLD = 0.8


def assessment_approved(output: JsonValue, options: Mapping[str, JsonValue]) -> bool:  # noqa: ARG001 - it has none
    """Whether `approved` is true. Anything else, a text such as "yes" included, is no approval."""
    return isinstance(output, Mapping) and output.get("approved") is True


def quality_threshold(output: JsonValue, options: Mapping[str, JsonValue]) -> bool:
    """Whether `quality_score` reaches the option `quality_threshold`. StepError when that is no number."""
    least = options.get("quality_threshold", DEFAULT_THRESHOLD)
    if isinstance(least, bool) or not isinstance(least, int | float):
        raise StepError(
            FailureCode.INVALID_INPUT, f"The option `quality_threshold` is {least!r}; it has to be a number."
        )
    score = output.get("quality_score") if isinstance(output, Mapping) else None
    return isinstance(score, int | float) and not isinstance(score, bool) and score >= least
