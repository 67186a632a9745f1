"""Documents that nobody meant to write: good and broken ones, changed at random, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

PIECES: tuple[str, ...] = (
    *("name: ", "steps:", "\n  - ", "agent: ", "tool: ", "wait: ", "until: ", "when: ", "input: ", "output: "),
    *("foreach: ", "catch:", "finally:", "compensate: ", "approval: ", "emit: ", "needs: ", "options: ", "retry: "),
    *("${{ ", " }}", "${{ steps.a.output }}", "${{ item }}", "input.x", "| upper", "| default('x')", "is defined"),
    *("[", "]", "{", "}", ", ", ": ", "- ", "'", '"', "|\n", ">-\n", "&a ", "*a", "!!str ", "? ", "#", "%", "<<: "),
    *("1e999", ".nan", "0x", "null", "true", "on", "30s", "-1", "9" * 400, "é", "\x00", "\u2028", "\t", "\n", "  "),
    *("---\n", "research", "sequential", "type: object", "$ref: x", "pattern: (", "**", "((((((((", "}}}}", "{{{{"),
)
LONGEST = 300_000
"""Characters; a little more than what is read at all, so that this is tried too."""


def mutated(documents: Sequence[str], count: int, seed: int) -> Iterator[str]:
    """`count` documents, each made of one of `documents` by one to eight changes."""
    luck = random.Random(seed)
    for _ in range(count):
        text = luck.choice(documents)
        for _ in range(luck.choice((1, 1, 2, 3, 5, 8))):
            text = luck.choice(CHANGES)(text, documents, luck)[:LONGEST]
        yield text


def _span(text: str, luck: random.Random, most: int = 40) -> tuple[int, int]:
    start = luck.randint(0, len(text))
    return start, min(len(text), start + luck.randint(0, most))


def _without(text: str, _documents: Sequence[str], luck: random.Random) -> str:
    start, end = _span(text, luck)
    return text[:start] + text[end:]


def _with_piece(text: str, _documents: Sequence[str], luck: random.Random) -> str:
    start, end = _span(text, luck, 5)
    return text[:start] + luck.choice(PIECES) + text[end:]


def _repeated(text: str, _documents: Sequence[str], luck: random.Random) -> str:
    """A piece of it many times: nothing that a document says may cost more than it says."""
    start, end = _span(text, luck)
    times = luck.choice((2, 2, 3, 10, 100, 5_000))
    return text[:start] + text[start:end] * times + text[end:]


def _lines_moved(text: str, _documents: Sequence[str], luck: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return text
    line = lines.pop(luck.randrange(len(lines)))
    lines.insert(luck.randint(0, len(lines)), luck.choice(("", "", "  ", "    ", "- ")) + line)
    return "".join(lines)


def _with_lines_of_another(text: str, documents: Sequence[str], luck: random.Random) -> str:
    lines, others = text.splitlines(keepends=True), luck.choice(documents).splitlines(keepends=True)
    start, at = luck.randint(0, len(others)), luck.randint(0, len(lines))
    return "".join([*lines[:at], *others[start : start + luck.randint(1, 6)], *lines[at:]])


def _value_replaced(text: str, _documents: Sequence[str], luck: random.Random) -> str:
    """What stands after a colon, by something else."""
    places = [place for place, char in enumerate(text) if char == ":"]
    if not places:
        return text
    start = luck.choice(places) + 1
    end = min((found for char in "\n,}" if (found := text.find(char, start)) >= 0), default=len(text))
    return f"{text[:start]} {luck.choice(PIECES)}{text[end:]}"


def _words_swapped(text: str, _documents: Sequence[str], luck: random.Random) -> str:
    words = text.split(" ")
    one, other = luck.randrange(len(words)), luck.randrange(len(words))
    words[one], words[other] = words[other], words[one]
    return " ".join(words)


CHANGES: tuple[Callable[[str, Sequence[str], random.Random], str], ...] = (
    _without,
    _with_piece,
    _repeated,
    _lines_moved,
    _with_lines_of_another,
    _value_replaced,
    _words_swapped,
)
