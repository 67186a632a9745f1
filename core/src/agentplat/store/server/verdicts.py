"""What the errors of PostgreSQL, and of its client library, mean to us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DataError, Error, NotSupportedError, ProgrammingError, UniqueViolation

from agentplat.domain.errors import SettingsInvalid
from agentplat.store.address import Address
from agentplat.store.database import Verdict

_READ_ONLY = "25006"
_AWAY = {"57014", "25P04"}  # timeout of the statement, of the transaction
_SHORT_OF = ("53", "58")  # classes: something that the server needs has run out, or what it stands on fails
_TRANSIENT = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "25P03", _READ_ONLY}
_OUTDATED = {"42P01", "3F000", "42703"}  # no such table, schema, column
_TOO_MUCH = "54000"
_OF_IDS = ("varsup.c", "multixact.c")
_VALUES = ("22", "23", "54")  # classes
_A_HOST = re.compile("@.*/")  # in the name of a database: the end of an address that began in a password


def verdict(error: BaseException | None) -> Verdict:
    """See `Database.verdict`."""
    if not isinstance(error, Error):
        return Verdict.BUG
    state, severity = error.sqlstate, error.diag.severity_nonlocalized
    if state is None:
        return _of_the_client(error)
    if state in _AWAY:
        return Verdict.AWAY
    if isinstance(error, UniqueViolation) and error.diag.constraint_name == "pk_tasks":
        # Ids are ours alone: an earlier attempt, whose answer was lost, was committed just now. Who looks finds it.
        return Verdict.TRANSIENT
    if state in _TRANSIENT or state.startswith("08") or severity in ("FATAL", "PANIC"):  # it ends the session
        return Verdict.TRANSIENT
    has_no_numbers = state == _TOO_MUCH and error.diag.source_file in _OF_IDS  # for transactions
    if has_no_numbers or state[:2] in _SHORT_OF:
        return Verdict.AWAY
    if state in _OUTDATED:
        return Verdict.OUTDATED
    return Verdict.REFUSED if state[:2] in _VALUES else Verdict.BUG


def _of_the_client(error: Error) -> Verdict:
    """Without a code it is the client library that speaks: of a value that cannot be sent, or of the connection.

    That is gone, or gives answers that nobody asked for: of a session that ends half way a pooler speaks besides the
    server, and two answers are an internal error.
    """
    if isinstance(error, DataError):
        return Verdict.REFUSED
    return Verdict.BUG if isinstance(error, ProgrammingError | NotSupportedError) else Verdict.TRANSIENT


def is_read_only(error: BaseException | None) -> bool:
    """Whether the session cannot write: its server is a standby, or was made one."""
    return isinstance(error, Error) and error.sqlstate == _READ_ONLY


def check_address(address: Address) -> None:
    """SettingsInvalid for what the client library could not read. Its own words would repeat parts of a password."""
    try:
        is_read = _is_plain(conninfo_to_dict(address.libpq))
    except (Error, UnicodeError):
        is_read = False
    if not is_read:
        raise SettingsInvalid(
            "The address of the database cannot be read. It is postgresql://user:password@host:port/name?option=value, "
            "and what is special in a user or a password is written by its number: %40 for @, %2F for /, %25 for %."
        )


def _is_plain(told: Mapping[str, Any]) -> bool:
    """Whether its parts are what they are called: if not, a password with an @ or a / in it was cut in two."""
    hosts, ports = (str(told.get(name) or "").split(",") for name in ("host", "port"))
    for host in hosts:
        if host.startswith(("/", "@")):  # the folder of a socket
            continue
        if "@" in host:
            return False
        if not told.get("hostaddr"):
            host.encode("idna")
    return all(port.isdecimal() for port in ports if port) and not _A_HOST.search(str(told.get("dbname") or ""))
