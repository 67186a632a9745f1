"""What feedback names: the things to look for that it says are missing, or to be kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import JsonValue

MAX_NAMED = 20
MAX_WORDS = 12
FIELDS = ("feedback", "missing", "areas_for_improvement")

_QUOTED = re.compile(r"“([^“”]+)”|\"([^\"]+)\"|«([^«»]+)»|‘([^‘’]{3,})’")
_CLAUSE = re.compile(r"[.;:!?\n]+|,\s|\s(?:and|but|or|as well as)\s", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_REVIEW_WORDS = """
a about above accuracy accurate add added adding addition additional address addressed addresses all almost also
although an analysis and any approval approve approved are area areas as aspect aspects at be because been
better but by can cite cited citing claim claims clear clearer completely contain contains could cover coverage
covered covering covers deeper depth describe described detail detailed details did discuss discussed do does
elaborate enough evidence example examples expand explain explained explanation few findings focus for further
gap gaps given good great had has have help here how however ignore ignored improve improved improvement in
include included includes including information insufficient into is it its lack lacking lacks little look
mention mentioned mentions missing more most must need needed needs no none not nothing of on one only or other
out overall overview passage passages please point points poor previous provide provided quality question read
reader remain remains report research result results review said say says section sentence sentences should so
some source sources specific still strength strengths such support supported supports text than that the their
them there these they this those though to too topic topics unclear unsupported verify very was weak well were
what when where which while why with without work would write yet you your
"""
_REVIEW = frozenset(_REVIEW_WORDS.split())


def named(feedback: JsonValue) -> list[str]:
    """The distinct phrases to search for, in the order of the feedback; none if there is no feedback.

    Phrases in quotation marks are taken as they are. A text without any is read clause by clause, without the words
    that reviews are made of.
    """
    phrases = dict.fromkeys(_phrases(feedback))
    return list(phrases)[:MAX_NAMED]


def _phrases(feedback: JsonValue) -> Iterator[str]:
    match feedback:
        case str():
            yield from _in_text(feedback)
        case list():
            for item in feedback:
                yield from _in_text(item) if isinstance(item, str) else ()
        case dict():
            for field in FIELDS:
                found = list(_phrases(feedback.get(field)))
                if found:
                    yield from found
                    return
        case _:
            return


def _in_text(text: str) -> Iterator[str]:
    quoted = [next(filter(None, groups)) for groups in _QUOTED.findall(text)]
    for phrase in quoted or _CLAUSE.split(text):
        words = _WORD.findall(phrase)
        telling = words if quoted else [word for word in words if word.casefold() not in _REVIEW]
        if telling:
            yield " ".join(telling[:MAX_WORDS])
