"""Which sentences answer a question best, and in which order they are best read."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from agentplat import Passage
from agentplat_llm_offline.sentences import leans, readable, sentences
from agentplat_llm_offline.words import INSTRUCTIONS, QUESTIONS, stems, telling

MAX_CANDIDATES = 2_000
LABEL_SHARE = 0.4  # a word that stands only in the source's name or heading, against one in the sentence itself
REPEATED = 0.5  # what a word is worth each further time that it is covered
REDUNDANT = 0.6  # overlap of two sentences from which the second says nothing new
LEANING = 0.6
LEAST_GAIN = 0.12  # of the best sentence's; below it the next sentence adds nothing to an answer
SINGLE = 0.3  # what a word that a text says only once is worth to its summary
LEAST_COVERED = 1 / 3  # of the question's words; below it the passages are about something else

_BORDER = re.compile(
    r"[,;:!?()\[\]\n/–—]+|\.(?=\s|$)|\s-\s|\b(?:and|or|versus|vs|plus|compared (?:to|with))\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence. Its stems are dicts for their order: sums over sets would differ from process to process."""

    text: str
    passage: int
    position: int
    stems: dict[str, None]
    label: dict[str, None]  # those of the source's name and headings


@dataclass(frozen=True, slots=True)
class Extract:
    """`chosen` in reading order; `missing` are the question's words that nothing of it contains."""

    chosen: tuple[Candidate, ...]
    missing: tuple[str, ...]


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """The readable sentences of the passages; a sentence that occurs twice counts once."""
    found: dict[str, Candidate] = {}
    for number, passage in enumerate(passages):
        label = dict.fromkeys(stems(passage.source))
        for position, sentence in enumerate(sentences(passage.text)):
            if readable(sentence) and sentence not in found:
                found[sentence] = Candidate(sentence, number, position, dict.fromkeys(stems(sentence)), label)
            if len(found) == MAX_CANDIDATES:
                return list(found.values())
    return list(found.values())


def answer(question: str, passages: Sequence[Passage], limit: int, *, instructed: bool) -> Extract:
    """The sentences of `passages` that cover the words of `question` best; none when they are about something else.

    `instructed` says that the question may contain words of instruction. Those are then not looked for, and one word of
    the question is enough. Otherwise a sentence, with the heading that it is from, has to contain two words of one
    aspect: a common word in another context answers nothing.
    """
    common = INSTRUCTIONS if instructed else QUESTIONS
    asked = telling(question, common) or telling(question)
    aspects = [telling(part, common).keys() & asked.keys() for part in _BORDER.split(question)]
    found = [candidate for candidate in candidates(passages) if instructed or _fits(candidate, aspects)]
    weights = _weights(question, asked, found)
    chosen = _greedy(found, weights, limit)
    covered = {word for candidate in chosen for word in (candidate.stems | candidate.label) if word in weights}
    missing = tuple(spelling for word, spelling in asked.items() if word not in covered)
    if not asked or len(covered) / len(asked) < LEAST_COVERED:
        return Extract((), tuple(asked.values()))
    return Extract(_ordered(chosen), missing)


def _fits(candidate: Candidate, aspects: Sequence[AbstractSet[str]]) -> bool:
    for aspect in aspects:
        inside = aspect & candidate.stems.keys()
        around = aspect & (candidate.stems | candidate.label).keys()
        if aspect and ((inside and len(around) >= min(2, len(aspect))) or aspect <= candidate.label.keys()):
            return True
    return False


def summary(text: str, limit: int) -> Extract:
    """The sentences of `text` that carry most of its words."""
    found = candidates([Passage(source="", text=text)])
    counts = Counter(word for candidate in found for word in candidate.stems)
    weights = {word: math.log1p(count) if count > 1 else SINGLE for word, count in counts.items()}
    return Extract(_ordered(_greedy(found, weights, limit, least=0.0)), ())


def _weights(question: str, asked: Mapping[str, str], found: Sequence[Candidate]) -> dict[str, float]:
    """What each word of the question is worth: more if it is rare in the passages, more if it is asked for often."""
    often = Counter(stems(question))
    total = len(found)
    weights = {}
    for word in asked:
        inside = sum(1 for candidate in found if word in candidate.stems)
        rarity = math.log1p((total - inside + 0.5) / (inside + 0.5))
        weights[word] = (0.2 + rarity) * (1 + math.log(max(often[word], 1)))
    return weights


def _greedy(
    found: Sequence[Candidate], weights: Mapping[str, float], limit: int, least: float = LEAST_GAIN
) -> list[Candidate]:
    """Up to `limit` sentences, each chosen for what it adds to those before it, as long as it adds enough."""
    average = sum(len(candidate.stems) for candidate in found) / max(len(found), 1) or 1.0
    left, chosen = list(found), list[Candidate]()
    covered: Counter[str] = Counter()
    first = 0.0
    while left and len(chosen) < limit:
        gain, best = max(
            ((_gain(candidate, weights, covered, chosen, average), -index) for index, candidate in enumerate(left)),
        )
        if gain <= least * first:
            break
        first = first or gain
        candidate = left.pop(-best)
        if all(_overlap(candidate, other) < REDUNDANT for other in chosen):
            chosen.append(candidate)
            covered.update(word for word in candidate.stems | candidate.label if word in weights)
    return chosen


def _gain(
    candidate: Candidate,
    weights: Mapping[str, float],
    covered: Mapping[str, int],
    chosen: Sequence[Candidate],
    average: float,
) -> float:
    worth = 0.0
    for word in candidate.stems:
        if word in weights:
            worth += weights[word] * REPEATED ** covered.get(word, 0)
    for word in candidate.label:
        if word in weights and word not in candidate.stems:
            worth += LABEL_SHARE * weights[word] * REPEATED ** covered.get(word, 0)
    worth /= 0.6 + 0.4 * len(candidate.stems) / average
    worth *= 1 + 0.15 / (1 + candidate.passage) + 0.1 / (1 + candidate.position)
    before = (candidate.passage, candidate.position - 1)
    if leans(candidate.text) and all((other.passage, other.position) != before for other in chosen):
        worth *= LEANING
    return worth


def _overlap(one: Candidate, other: Candidate) -> float:
    smaller = min(len(one.stems), len(other.stems))
    return len(one.stems.keys() & other.stems.keys()) / smaller if smaller else 1.0


def _ordered(chosen: Sequence[Candidate]) -> tuple[Candidate, ...]:
    return tuple(sorted(chosen, key=lambda candidate: (candidate.passage, candidate.position)))
