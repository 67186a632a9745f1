"""Column types and the clock, each with its form on PostgreSQL and on SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, BigInteger, ColumnElement, DateTime, Dialect, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, TypeEngine

from agentplat.domain.json import JsonValue, unstorable
from agentplat.store.statements import SQLITE_CLOCK

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WHOLE = 1e16
"""From here on Python writes floats with an exponent; jsonb would give such a number back as an integer."""


class Instant(TypeDecorator[datetime]):
    """A point in time, always UTC: timestamptz, or microseconds since 1970 as an integer."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return microseconds(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Json(TypeDecorator[JsonValue]):
    """A JSON value: jsonb, or text. The database's NULL means that there is none; JSON's null is a value like others.

    Integers stay integers and floats stay floats. jsonb keeps no order of keys.
    """

    impl = Text
    cache_ok = True
    should_evaluate_none = True

    def __init__(self, *, nullable: bool = False) -> None:
        """`nullable`: Python's None stands for the database's NULL, not for JSON's null."""
        super().__init__()
        self.nullable = nullable
        self.should_evaluate_none = not nullable

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return JSONB() if dialect.name == "postgresql" else Text()

    # Not process_bind_param: behind it PostgreSQL's own type would write the text as JSON once more.
    def bind_processor(self, _dialect: Dialect) -> Callable[[Any], str | None]:
        return lambda value: None if value is None and self.nullable else dumps(value)

    def result_processor(self, dialect: Dialect, _coltype: object) -> Callable[[Any], Any] | None:
        if dialect.name == "postgresql":
            return None  # the driver reads jsonb
        return lambda value: None if value is None else json.loads(value)


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


def microseconds(moment: datetime) -> int:
    """The form in which SQLite keeps `moment`."""
    return (moment - _EPOCH) // _MICROSECOND


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return dict(value)
        case Sequence():
            return list(value)
        case _:
            raise TypeError(f"a value of type {type(value).__name__} is not JSON")


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

    mark = f"{uuid4()}:"
    text = _text(replaced(value))
    for stand_in, number in written.items():
        text = text.replace(stand_in, number)
    return text


class Ids(TypeDecorator[Sequence[UUID]]):
    """Many ids as one parameter: an array, or JSON text for `json_each`. So a statement's text, and its plan, stay."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text() if dialect.name == "sqlite" else ARRAY(Uuid())

    def process_bind_param(self, value: Sequence[UUID] | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return json.dumps([item.hex for item in value])


class Clock(ColumnElement[datetime]):
    """The database's clock at this moment, not at the start of the transaction."""

    type = Instant()
    inherit_cache = True


def clock() -> Clock:
    """The database's clock, to be used in a statement."""
    return Clock()


compiles(Clock, "postgresql")(lambda *_, **__: "clock_timestamp()")
compiles(Clock, "sqlite")(lambda *_, **__: SQLITE_CLOCK)
