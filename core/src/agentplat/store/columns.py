"""Column types and the clock, each with its form on PostgreSQL and on SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ColumnElement, DateTime, Dialect, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, TypeEngine

from agentplat.domain.json import JsonValue, dumps
from agentplat.store.statements import SQLITE_CLOCK

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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
        return None if value is None else instant(value)


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


def microseconds(moment: datetime) -> int:
    """The form in which SQLite keeps `moment`."""
    return (moment - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """The moment that SQLite keeps as so many microseconds."""
    return _EPOCH + timedelta(microseconds=microseconds)


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


def server_text(value: Any) -> bytes | None:
    """A value as a PostgreSQL server reads it."""
    if value is None:
        return None
    if isinstance(value, list):
        return _array(value).encode()
    return (_SCALARS.get(type(value), _plain))(value).encode()


def _array(values: list[Any]) -> str:
    """The text of an array, which the statement casts. The driver's own way asks for each element what it is."""
    sample = next((value for value in values if value is not None), None)
    write = _ELEMENTS.get(type(sample)) or (_quoted if isinstance(sample, str) else str)
    return "{" + ",".join(["NULL" if value is None else write(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(value: Any) -> str:
    """The text of a number or a string. A member of an enumeration that is a string would call itself by its name."""
    return str.__str__(value) if isinstance(value, str) else str(value)


_SCALARS: dict[type, Callable[[Any], str]] = {
    UUID: lambda value: value.hex,
    bool: lambda value: "t" if value else "f",
    datetime: lambda value: value.isoformat(),
}
_ELEMENTS: dict[type, Callable[[Any], str]] = {
    str: _quoted,
    UUID: lambda value: value.hex,
    bool: lambda value: "t" if value else "f",
    datetime: lambda value: f'"{value.isoformat()}"',
}
