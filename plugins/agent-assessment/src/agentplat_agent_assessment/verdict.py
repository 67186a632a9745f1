"""From what was measured, and what a model judged, to the assessment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentplat_agent_assessment.measure import Measure
from agentplat_agent_assessment.schema import Judgement, Output, Settings

MAX_NAMED = 10
EXCELLENT, GOOD, FAIR = 0.9, 0.75, 0.5


def verdict(measured: Measure, judged: Judgement | None, settings: Settings) -> Output:
    """The assessment. Nothing is approved that was measured and found not grounded, whatever a model says."""
    score = _score(measured, judged)
    accepted = measured.grounded if judged is None else judged.approved and _not_refused(measured)
    approved = accepted and score >= settings.approve_at
    if not approved:
        # A score at or above the bar would say the opposite of the refusal.
        score = min(score, settings.approve_at - 0.01)
    missing = list(dict.fromkeys([*measured.missing, *(judged.missing if judged else ())]))
    score = round(max(score, 0.0), 3)
    return Output(
        approved=approved,
        feedback=_feedback(measured, missing, approved=approved),
        strengths=[*_strengths(measured), *(judged.strengths if judged else ())],
        areas_for_improvement=[*_improvements(measured), *(judged.areas_for_improvement if judged else ())],
        overall_quality=_quality(score),
        quality_score=score,
        coverage=None if measured.coverage is None else round(measured.coverage, 3),
        grounding=None if measured.grounding is None else round(measured.grounding, 3),
        missing=missing,
    )


def _score(measured: Measure, judged: Judgement | None) -> float:
    known = [
        quality for quality in (measured.coverage, judged.quality_score if judged else None) if quality is not None
    ]
    quality = sum(known) / len(known) if known else 0.0
    return quality if judged and measured.grounding is None else measured.score(quality)


def _not_refused(measured: Measure) -> bool:
    return measured.grounding is None or measured.grounded


def _feedback(measured: Measure, missing: Sequence[str], *, approved: bool) -> str:
    parts: list[str] = ["Approved."] if approved else []
    if missing:
        parts.append(f"Not covered yet: {_quoted(missing)}.")
    if missing and measured.covered and not approved:
        parts.append(f"Keep what was found on: {_quoted(measured.covered)}.")
    if measured.unsupported:
        parts.append(f"{len(measured.unsupported)} sentences have no support in the sources; support or drop them.")
    if measured.coverage is None:
        parts.append("There is no topic to compare the findings with; give it as original_topic.")
    if measured.grounding is None:
        parts.append("There is no source text to check the findings against; give it as evidence.")
    if approved and not missing:
        parts.append("Every part of the topic is covered.")
    return " ".join(parts) or "The findings do not reach the required quality."


def _strengths(measured: Measure) -> list[str]:
    found = [f"Covers “{phrase}”." for phrase in measured.covered[:MAX_NAMED]]
    if measured.grounded:
        found.append(f"{measured.grounding:.0%} of the sentences are supported by the sources.")
    return found


def _improvements(measured: Measure) -> list[str]:
    found = [f"Say something on “{phrase}”." for phrase in measured.missing[:MAX_NAMED]]
    found += [f"Support or drop: {text[:160]}" for text in measured.unsupported[:MAX_NAMED]]
    if measured.grounding is None:
        found.append("Give the text of the sources, so that the findings can be checked.")
    return found


def _quoted(phrases: Sequence[str]) -> str:
    named = [" ".join(phrase.replace("“", "").replace("”", "").split())[:120] for phrase in phrases[:MAX_NAMED]]
    return "; ".join(f"“{phrase}”" for phrase in named)


def _quality(score: float) -> Literal["excellent", "good", "fair", "poor"]:
    return "excellent" if score >= EXCELLENT else "good" if score >= GOOD else "fair" if score >= FAIR else "poor"
