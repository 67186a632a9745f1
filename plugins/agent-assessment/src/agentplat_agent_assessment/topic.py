"""What a topic asks for: its aspects, the words of each, and what each word is worth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentplat_agent_assessment.words import QUESTIONS, Word, stems, words

MAX_WORDS = 80
NAME_WORTH = 2.0  # names and numbers say what a topic is about; a text that lacks them is about something else
MAIN_WORDS = 8

_BORDER = re.compile(
    r"[,;:!?()\[\]\n/–—]+|\.(?=\s|$)|\s-\s|\b(?:and|or|versus|vs|plus|as well as|compared (?:to|with))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Aspect:
    """A part of a topic between two commas, conjunctions or the like."""

    text: str
    words: tuple[Word, ...]
    worth: dict[str, float]  # by stem

    def missing(self, covered: frozenset[str]) -> str:
        """The stretch of the aspect from its first to its last word that is not covered; empty if all are."""
        lacking = [word for word in self.words if word.stem not in covered]
        return self.text[lacking[0].start : lacking[-1].end] if lacking else ""


def aspects(topic: str) -> list[Aspect]:
    """The aspects of `topic`; none when it has no word that could be looked for."""
    found: list[Aspect] = []
    names = _names(topic)
    left = MAX_WORDS
    for part in _BORDER.split(topic):
        telling = (words(part, QUESTIONS) or (words(part) if len(topic) == len(part) else []))[:left]
        left -= len(telling)
        if telling:
            worth = {word.stem: NAME_WORTH if word.stem in names else 1.0 for word in telling}
            found.append(Aspect(part, tuple(telling), worth))
    return found


def main_aspects(texts: Iterable[str]) -> list[Aspect]:
    """The most frequent words of `texts`, each an aspect: what a text without a topic is about."""
    spellings: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for text in texts:
        for word in words(text):
            spellings.setdefault(word.stem, word.spelling)
            counts[word.stem] += 1
    first = counts.most_common(MAIN_WORDS)
    often = [(stem, count) for stem, count in first if count > 1] or first
    return [
        Aspect(spellings[stem], (Word(stem, 0, len(spellings[stem]), spellings[stem]),), {stem: float(count)})
        for stem, count in often
    ]


def _names(topic: str) -> frozenset[str]:
    """The stems of the names and numbers in `topic`; none when it is written in capitals throughout."""
    telling = words(topic, QUESTIONS)
    raised = [word for word in telling if _raised(word.spelling)]
    opening = {match.end() for match in re.finditer(r"(?:^|[.!?:]\s)\W*", topic)}
    marked = [word for word in raised if word.start not in opening or not word.spelling[1:].islower()]
    if len(raised) > 0.6 * len(telling):
        marked = [word for word in marked if any(char.isdigit() for char in word.spelling)]
    return frozenset(word.stem for word in marked)


def _raised(spelling: str) -> bool:
    return spelling[0].isupper() or any(char.isdigit() for char in spelling)


def coverage(found: Sequence[Aspect], covered: frozenset[str]) -> float:
    """The share of the words' worth that is covered."""
    total = sum(sum(aspect.worth.values()) for aspect in found)
    met = sum(worth for aspect in found for stem, worth in aspect.worth.items() if stem in covered)
    return met / total if total else 0.0


def covered_by(found: Sequence[Aspect], sentences: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The stems that pairs of sentence and source label cover.

    A word counts where it stands with another word of its aspect: in the sentence, in another one from the same source,
    or in the source's heading. A common word in some other context covers nothing. A heading that names a whole aspect
    covers it.
    """
    inside: dict[str, frozenset[str]] = {}
    for sentence, label in sentences:
        inside[label] = inside.get(label, frozenset()) | stems(sentence)
    covered: set[str] = set()
    for label, said in inside.items():
        heading = stems(label)
        for aspect in found:
            together = (said | heading) & aspect.worth.keys()
            named = aspect.worth.keys() <= heading
            if named or (said & aspect.worth.keys() and len(together) >= min(2, len(aspect.worth))):
                covered |= together
    return frozenset(covered)
