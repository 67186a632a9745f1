"""Sentences of a text, and which of them read well on their own."""

from __future__ import annotations

import re

MAX_SENTENCE_CHARS = 600

_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\W_a-zà-ÿ])|(?<=[。！？])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|dr|mr|mrs|ms|prof|st|no|fig|sec|vol|al|inc|ltd|co|jr|sr)\.|\b[A-Z]\.)$",
    re.IGNORECASE,
)
_INITIAL = re.compile(r"\b[A-Z]\.$")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_CODE = re.compile(r"^(?: {4}|\t)")
_SYMBOLS = frozenset("{}[]<>=|\\$;_*/+^~@#&%")
_LEANING_WORDS = (
    "also but hence however it its moreover nor otherwise so such that then therefore they their these this those thus"
)
_LEANING = frozenset(_LEANING_WORDS.split())


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order. List items and lines of code are sentences of their own."""
    found: list[str] = []
    for paragraph in _paragraphs(text):
        if _CODE.match(paragraph):
            found.append(paragraph)
            continue
        start = 0
        for match in _END.finditer(paragraph):
            piece = paragraph[start : match.end()].strip()
            if _abbreviated(paragraph[start : match.start()]):
                continue
            found.append(piece)
            start = match.end()
        found.append(paragraph[start:].strip())
    return [sentence for sentence in found if sentence]


def _abbreviated(text: str) -> bool:
    match = _ABBREVIATION.search(text)
    if match is None:
        return False
    # One capital letter and a full stop is an initial only if it is a capital letter.
    return len(match[0]) > 2 or _INITIAL.search(text) is not None


def _paragraphs(text: str) -> list[str]:
    """Lines joined as they belong together; an empty line, a list item or a line of code ends a paragraph."""
    found: list[str] = []
    joined = False
    for line in text.splitlines():
        item = _ITEM.match(line)
        code = _CODE.match(line) is not None
        if not line.strip():
            joined = False
        elif joined and not item and not code:
            found[-1] += " " + line.strip()
        else:
            found.append(line.rstrip() if code else line[item.end() :].strip() if item else line.strip())
            joined = not code
    return found


def readable(sentence: str) -> bool:
    """Whether a sentence says something to a reader who sees nothing around it."""
    words = sentence.split()
    lettered = sum(1 for word in words if any(char.isalpha() for char in word))
    enough = lettered >= 4 or (lettered >= 1 and not sentence.isascii() and len(sentence) >= 12)
    symbols = sum(1 for char in sentence if char in _SYMBOLS)
    prose = _CODE.match(sentence) is None and symbols <= len(sentence) / 20
    return enough and prose and len(sentence) <= MAX_SENTENCE_CHARS and sentence[-1] != ":"


def leans(sentence: str) -> bool:
    """Whether a sentence begins with a word that points back to the sentence before it."""
    first = sentence.split(maxsplit=1)[0].strip(",.;:\"'“”()").casefold() if sentence.strip() else ""
    return first in _LEANING
