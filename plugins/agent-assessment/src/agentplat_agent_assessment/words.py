"""The words of a text that carry meaning, reduced to their stems."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_COMMON_WORDS = """
a about above according across after again against all almost along already also although always am among an and
another any anyone anything are around as at away back be became because become becomes been before being below
besides between both but by can cannot could did do does doing done down during each either else enough etc even
ever every everything few for from further get gets give given gives go goes had has have having he hence her
here hers him his how however i if in indeed instead into is it its itself just keep kept least less let like
made make makes many may me might more most mostly much must my near neither never no nobody none nor not
nothing now of off often on once one only onto or other others otherwise our ours out over own per perhaps
please quite rather really same say says see seem seems several shall she should since so some somebody
something sometimes still such than that the their theirs them themselves then there therefore these they thing
things this those though through thus to together too toward towards under unless until up upon us use used uses
using usually various very via was way ways we well were what whatever when whenever where whether which while
who whole whom whose why will with within without would yes yet you your yours
"""
_QUESTION_WORDS = """
compare comparison concerning describe described describing detail detailed details discuss explain explained
explaining explanation handle handled handles handling happen happened happening happens introduction overview
regarding topic topics understand understanding work working works
"""
COMMON = frozenset(_COMMON_WORDS.split())
QUESTIONS = frozenset(_QUESTION_WORDS.split())  # they say that something is asked, not what

# The library ships no types, and its stemmers keep state while they work.
_english: Callable[[str], str] = import_module("snowballstemmer").stemmer("english").stemWord
_turn = threading.Lock()


@dataclass(frozen=True, slots=True)
class Word:
    """A word that carries meaning, where it stands, and how it was spelt."""

    stem: str
    start: int
    end: int
    spelling: str


def words(text: str, also_common: frozenset[str] = frozenset()) -> list[Word]:
    """The words of `text` that carry meaning, in order."""
    found = []
    for match in _WORD.finditer(text):
        plain = match[0].casefold().replace("’", "'").removesuffix("'s")
        if plain in COMMON or plain in also_common or (len(plain) == 1 and plain.isascii()):
            continue
        found.append(Word(stem(plain), match.start(), match.end(), match[0]))
    return found


def stems(text: str) -> frozenset[str]:
    """The stems of the words of `text` that carry meaning."""
    return frozenset(word.stem for word in words(text))


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """What the forms of a word have in common: `recovers` and `recovery` have the same stem."""
    with _turn:
        first = _english(word)
        return _english(first[:-1]) if first.endswith("i") else first
