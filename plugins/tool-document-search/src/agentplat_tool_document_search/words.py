"""Words: which of a query are worth looking for, and what their forms have in common."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module

MAX_WORDS = 48

_WORD = re.compile(r"[^\W_]+")
_COMMON_WORDS = """
a about after again all also am an and any are as at be because been before being below between both but by can
could did do does doing down during each either else few for from further had has have having he her here hers
him his how however i if in into is it its itself just let may me might more most much must my no nor not of off
on once only or other our ours out over own per please rather same shall she should since so some such tell than
that the their theirs them then there these they this those though through to too under until up upon us use
used uses using very via was we were what when where whether which while who whom whose why will with within
without would yet you your yours
"""
_COMMON = frozenset(_COMMON_WORDS.split())

# The library ships no types, and its stemmers keep state while they work.
_english: Callable[[str], str] = import_module("snowballstemmer").stemmer("english").stemWord
_turn = threading.Lock()


def words(query: str) -> list[str]:
    """The distinct words of `query` in its order, without the most common English ones unless there are no others."""
    spoken = list(dict.fromkeys(_WORD.findall(query.casefold())))
    telling = [word for word in spoken if word not in _COMMON and (len(word) > 1 or not word.isascii())]
    return (telling or spoken)[:MAX_WORDS]


def stemmed(text: str) -> str:
    """The text with each word replaced by its stem."""
    return " ".join(stem(word) for word in _WORD.findall(text.casefold()))


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """What the forms of a word have in common: `recovers` and `recovery` have the same stem."""
    with _turn:
        first = _english(word)
        return _english(first[:-1]) if first.endswith("i") else first
