"""What can be measured of findings: how far they cover the topic, and how far their sources support them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentplat_agent_assessment.grounding import claims
from agentplat_agent_assessment.schema import Evidence
from agentplat_agent_assessment.topic import aspects, coverage, covered_by, main_aspects

GROUNDED = 0.8  # from this share of supported sentences on, findings count as grounded
UNCHECKED = 0.5  # what a score is worth when there is no source to check anything against


@dataclass(frozen=True, slots=True)
class Measure:
    """`coverage` is None without a topic, `grounding` None without sources."""

    coverage: float | None
    grounding: float | None
    covered: tuple[str, ...]
    missing: tuple[str, ...]
    unsupported: tuple[str, ...]

    @property
    def grounded(self) -> bool:
        return self.grounding is not None and self.grounding >= GROUNDED

    def score(self, quality: float) -> float:
        """The quality, as far as the sources bear it."""
        if self.grounding is None:
            return quality * UNCHECKED
        return quality if self.grounded else quality * self.grounding


def measure(findings: str, topic: str, evidence: Sequence[Evidence] | None) -> Measure:
    """Coverage counts only sentences that a source supports, where there are sources.

    Without a topic, but with sources, the words that the sources repeat most stand for the topic.
    """
    sentences = claims(findings, evidence)
    supported = [claim for claim in sentences if claim.label is not None]
    wanted = aspects(topic) or main_aspects(item.text for item in evidence or ())
    counted = sentences if evidence is None else supported
    covered = covered_by(wanted, [(claim.text, claim.label or "") for claim in counted])
    lacking = [aspect.missing(covered) for aspect in wanted]
    return Measure(
        coverage=coverage(wanted, covered) if wanted else None,
        grounding=None if evidence is None else len(supported) / len(sentences) if sentences else 0.0,
        covered=tuple(a.text.strip() for a, missing in zip(wanted, lacking, strict=True) if not missing),
        missing=tuple(dict.fromkeys(missing for missing in lacking if missing)),
        unsupported=tuple(claim.text for claim in sentences if claim.label is None) if evidence is not None else (),
    )
