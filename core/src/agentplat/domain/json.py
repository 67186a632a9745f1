"""JSON values: their types, and which of them may be kept."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

JsonValue: TypeAlias = "None | bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue]"
JsonObject: TypeAlias = "Mapping[str, JsonValue]"

MAX_DEPTH = 64
MAX_INTEGER_DIGITS = 300
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def unstorable(value: object, pointer: str = "", depth: int = 0) -> tuple[str, str] | None:
    """The first `(JSON pointer, reason)` that makes `value` unfit to be kept; None when all of it can be kept.

    Refused: what is not JSON, NUL and lone surrogates in text (PostgreSQL cannot hold them), NaN and infinities,
    integers above 300 digits, more than 64 levels.
    """
    if depth > MAX_DEPTH:
        return pointer, f"is nested deeper than {MAX_DEPTH} levels"
    match value:
        case None | bool():
            return None
        case str():
            return _unstorable_text(value, pointer)
        case int():
            return (pointer, "is an integer of too many digits") if abs(value) >= 10**MAX_INTEGER_DIGITS else None
        case float():
            return None if math.isfinite(value) else (pointer, f"is {value}, which JSON cannot express")
        case Mapping():
            return _unstorable_member(value, pointer, depth)
        case list() | tuple():
            found = (unstorable(item, f"{pointer}/{index}", depth + 1) for index, item in enumerate(value))
            return next((fault for fault in found if fault is not None), None)
        case _:
            return pointer, f"is of type {type(value).__name__}, which JSON cannot express"


def storable_text(text: str) -> str:
    """`text` with U+FFFD for each character that cannot be kept."""
    return _UNSTORABLE.sub("\ufffd", text)


def _unstorable_text(text: str, pointer: str) -> tuple[str, str] | None:
    found = _UNSTORABLE.search(text)
    if found is None:
        return None
    return pointer, "contains the character U+0000" if found[0] == "\x00" else "contains half of a surrogate pair"


def _unstorable_member(value: Mapping[object, object], pointer: str, depth: int) -> tuple[str, str] | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return pointer, f"has a key of type {type(key).__name__}, which is not text"
        below = f"{pointer}/{storable_text(key).replace('~', '~0').replace('/', '~1')}"
        fault = _unstorable_text(key, below) or unstorable(item, below, depth + 1)
        if fault is not None:
            return fault
    return None
