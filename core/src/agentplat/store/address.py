"""What a database URL says, without a database library: the keeper, which must stay small, reads it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from agentplat.domain.errors import SettingsInvalid

Dialect: TypeAlias = Literal["postgresql", "sqlite"]

_SCHEMES: dict[str, Dialect] = {
    "postgresql": "postgresql",
    "postgresql+psycopg": "postgresql",
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
}


@dataclass(frozen=True, slots=True)
class Address:
    """`rest` is everything behind `scheme://` but `pooled`; it may hold a password, so it is shown nowhere.

    `pooled`: between us and PostgreSQL there is a pooler that may give each transaction another session.
    """

    dialect: Dialect
    rest: str
    pooled: bool = False

    def __repr__(self) -> str:
        return f"Address({self.dialect})"

    @staticmethod
    def parse(url: str) -> Address:
        """The address. SettingsInvalid for a scheme that is not ours, or an SQLite database that is not a file."""
        scheme, separator, rest = url.partition("://")
        dialect = _SCHEMES.get(scheme)
        if dialect is None:
            # Only what is a scheme for certain: anything else may hold a password.
            is_scheme = separator and scheme.replace("+", "").isalnum()
            kind = f"A database of the kind {scheme!r}" if is_scheme else "That database"
            raise SettingsInvalid(
                f"{kind} is not supported. Use sqlite:///path/of/a/file or postgresql://user:password@host/name."
            )
        if dialect == "postgresql":
            return Address(dialect, *_without_pooled(rest))
        address = Address(dialect, rest)
        if address.file is None:
            raise SettingsInvalid("An SQLite database needs a file: sqlite:///path/of/a/file.")
        return address

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database; None where there is none."""
        path = self.rest.partition("?")[0].removeprefix("/")
        if self.dialect != "sqlite" or not path or path == ":memory:":
            return None
        return Path(path)

    @property
    def libpq(self) -> str:
        """The address as PostgreSQL's own client library takes it."""
        return f"postgresql://{self.rest}"

    def of_session(self, settings: Mapping[str, object]) -> dict[str, Any]:
        """What psycopg is told beside the address, so that every session is set so.

        Behind a pooler nothing may stay in a session, nor are there startup parameters: see `of_transaction`.
        """
        if self.pooled:
            return {"prepare_threshold": None}
        return {"options": " ".join(f"-c {name}={value}" for name, value in settings.items())}

    def of_transaction(self, settings: Mapping[str, object]) -> str | None:
        """The statement with which each transaction has to begin for the same; None where its session is set so."""
        if not self.pooled:
            return None
        return "SELECT " + ", ".join(
            f"set_config('{name}', '{value}', true) AS {name}" for name, value in settings.items()
        )


def _without_pooled(rest: str) -> tuple[str, bool]:
    """`rest` as libpq takes it, and whether `pooled=true` was in it."""
    place, _, query = rest.partition("?")
    parts = [part for part in query.split("&") if part]
    said = [part for part in parts if part.partition("=")[0] == "pooled"]
    if any(part not in ("pooled=true", "pooled=false") for part in said):
        raise SettingsInvalid("pooled in the address of a database is true or false: ...?pooled=true.")
    others = "&".join(part for part in parts if part not in said)
    return f"{place}?{others}" if others else place, said[-1:] == ["pooled=true"]
