"""JSON values: their types, and which of them may be kept; and which moments."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

JsonValue: TypeAlias = "None | bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue]"
JsonObject: TypeAlias = "Mapping[str, JsonValue]"

MAX_DEPTH = 64
MAX_INTEGER_DIGITS = 300
LAST_YEAR = 9998
"""In the year after it a timezone, or a wait, leads out of the calendar."""
_PLAIN_INTEGER = 2**63
_WHOLE = 1e16
"""From here on Python writes floats with an exponent; jsonb would give such a number back as an integer."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def unstorable(value: object, pointer: str = "", depth: int = 0) -> tuple[str, str] | None:
    """The first `(JSON pointer, reason)` that makes `value` unfit to be kept; None when all of it can be kept.

    Refused: what is not JSON, NUL and lone surrogates in text (PostgreSQL cannot hold them), NaN and infinities,
    integers above 300 digits, more than 64 levels.
    """
    if depth == 0 and _is_storable(value, MAX_DEPTH):
        return None
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


def _is_storable(value: Any, levels: int) -> bool:
    """Whether all of `value` can certainly be kept: the answer for nearly every value, without looking for a place."""
    cls = type(value)
    if cls is str:
        return _UNSTORABLE.search(value) is None
    if value is None or cls is bool:
        return True
    if cls is int:
        return bool(-_PLAIN_INTEGER < value < _PLAIN_INTEGER)
    if cls is float:
        return math.isfinite(value)
    if levels == 0:
        return False
    if cls is dict:
        for key, item in value.items():
            if type(key) is not str or _UNSTORABLE.search(key) or not _is_storable(item, levels - 1):
                return False
        return True
    if cls is list or cls is tuple:
        return all(_is_storable(item, levels - 1) for item in value)
    return False


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


def dumps(value: JsonValue) -> str:
    """The JSON text of `value`. Raises TypeError or ValueError for what one of the databases could not keep."""
    text = _text(value)
    if "\\u0000" in text and (fault := unstorable(value)) is not None:
        raise ValueError(f"the value at {fault[0] or '/'} {fault[1]}")
    text.encode()  # half of a surrogate pair is refused here, on both databases
    return _text_with_whole_floats(value) if "e+" in text else text


def normalised(value: JsonValue) -> JsonValue:
    """`value` as it is read back: lists for tuples, dicts for mappings."""
    kept: JsonValue = json.loads(dumps(value))
    return kept


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return dict(value)
        case Sequence():
            return list(value)
        case _:
            raise TypeError(f"a value of type {type(value).__name__} is not JSON")


def writer(*, ensure_ascii: bool = True, sort_keys: bool = False) -> Callable[[object], str]:
    """What gives the compact JSON text of a value; any Mapping and Sequence is accepted, NaN and infinities are not.

    To be made once: the standard library makes its encoder anew at every call, which takes longer than a small value.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, sort_keys=sort_keys, allow_nan=False, separators=(",", ":"), default=_plain
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    written = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    pieces = make(None, _plain, written, None, ":", ",", sort_keys, False, False)
    return lambda value: "".join(pieces(value, 0))


_text = writer(ensure_ascii=False)


def _text_with_whole_floats(value: JsonValue) -> str:
    """The same, floats of 17 and more digits written out: `1e+16` as `10000000000000000.0`."""
    written: dict[str, str] = {}

    def replaced(part: object) -> object:
        match part:
            case float() if abs(part) >= _WHOLE:
                stand_in = f"{mark}{len(written)}"
                written[f'"{stand_in}"'] = f"{part:.1f}"
                return stand_in
            case str():
                return part
            case Mapping():
                return {key: replaced(item) for key, item in part.items()}
            case Sequence():
                return [replaced(item) for item in part]
            case _:
                return part

    text = _text(value)
    mark = "#"
    while mark in text:
        mark += "#"
    text = _text(replaced(value))
    for stand_in, number in written.items():
        text = text.replace(stand_in, number)
    return text


def in_utc(time: datetime) -> datetime:
    """The same moment in UTC; without a timezone it is one of UTC. ValueError outside of the years 1 to LAST_YEAR.

    No database would give back such a moment.
    """
    try:
        moment = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)
        if moment.year <= LAST_YEAR:
            return moment
    except OverflowError:
        pass
    raise ValueError(f"is not within the years 1 to {LAST_YEAR} of UTC")


def kind_of(value: object) -> str:
    """`text`, `number`, `list`, `map`, `null`, `true or false`; of what is not JSON the name of its type."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "number"
        case str():
            return "text"
        case Mapping():
            return "map"
        case list() | tuple():
            return "list"
        case _:
            return type(value).__name__


def kind_said(value: JsonValue) -> str:
    """The same in a sentence: `a list`, `an empty text`, `null`."""
    kind = kind_of(value)
    return "an empty text" if value == "" else kind if kind in ("null", "true or false") else f"a {kind}"
