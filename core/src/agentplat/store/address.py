"""What a database URL says, without a database library: the keeper, which must stay small, reads it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

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
    """`rest` is everything behind `scheme://`; it may hold a password, so it is shown nowhere."""

    dialect: Dialect
    rest: str

    def __repr__(self) -> str:
        return f"Address({self.dialect})"

    @staticmethod
    def parse(url: str) -> Address:
        """The address. SettingsInvalid for a scheme that is not ours, or an SQLite database that is not a file."""
        scheme, _, rest = url.partition("://")
        dialect = _SCHEMES.get(scheme)
        if dialect is None:
            raise SettingsInvalid(
                f"A database of the kind {scheme!r} is not supported. Use sqlite:///path/of/a/file or "
                "postgresql://user:password@host/name."
            )
        address = Address(dialect, rest)
        if dialect == "sqlite" and address.file is None:
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
