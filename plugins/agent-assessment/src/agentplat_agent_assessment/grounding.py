"""Which sentences of the findings their sources support."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentplat_agent_assessment.schema import Evidence
from agentplat_agent_assessment.words import stems

SUPPORTED = 0.6  # the share of a sentence's words that one source has to contain
MAX_SENTENCES = 1_000

_CITATION = re.compile(r"\s*\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_END = re.compile(
    r"(?<=[.!?…。！？])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\W_a-zà-ÿ])|(?<=[。！？])|\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)"
)
_MARK = re.compile(r"^\s*(?:[-*•#>]+|\d{1,3}[.)])\s+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# A sentence that says what is not known claims nothing, so nothing has to support it.
_ADMISSION = re.compile(
    r"\b(?:do(?:es)?n[o']t|do(?:es)? not|did not|cannot|could not|no|none|nothing|not)\b.{0,60}"
    r"\b(?:address(?:ed)?|answer(?:ed)?|contain(?:s|ed)?|cover(?:s|ed)?|discuss(?:ed)?|found|information|"
    r"mention(?:s|ed)?|passages?|provide[sd]?|say|sources?|documents?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the findings. `label` names the source that supports it; None when none does."""

    text: str
    label: str | None


def claims(findings: str, evidence: Sequence[Evidence] | None) -> list[Claim]:
    """The sentences of `findings` that claim something. With `evidence` None, none is supported and none refuted."""
    known = [(item.source, stems(item.text) | stems(item.source), _numbers(item.text)) for item in evidence or ()]
    found: list[Claim] = []
    for sentence in _sentences(findings):
        cited = [int(part) - 1 for match in _CITATION.findall(sentence) for part in match.split(",")]
        text = _CITATION.sub("", sentence)
        telling = stems(text)
        if len(telling) < 2 or (not cited and _ADMISSION.search(text)):
            continue
        numbers = _numbers(text)
        support = [
            (len(telling & inside) / len(telling), at in cited, label)
            for at, (label, inside, said) in enumerate(known)
            if numbers <= said
        ]
        best = max(support, key=lambda item: (item[0] >= SUPPORTED and item[1], item[0]), default=(0.0, False, ""))
        found.append(Claim(text, best[2] if best[0] >= SUPPORTED else None))
    return found


def _sentences(text: str) -> list[str]:
    pieces = (_MARK.sub("", piece).strip() for piece in _END.split(text))
    return [" ".join(piece.split()) for piece in pieces if piece][:MAX_SENTENCES]


def _numbers(text: str) -> frozenset[str]:
    return frozenset(number.replace(",", "") for number in _NUMBER.findall(text))
