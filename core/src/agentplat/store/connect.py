"""From a database URL to the store that speaks to it."""

from __future__ import annotations

from agentplat.contracts.firing import ScheduleStore
from agentplat.store.address import Address
from agentplat.store.sql_store import SqlStore


def open_store(url: str, *, application: str = "agentplat", pool_size: int = 10) -> ScheduleStore:
    """The store at `url`, not yet connected: call `open` before anything else."""
    address = Address.parse(url)
    if address.file is not None:
        from agentplat.store.sqlite import Sqlite

        return SqlStore(Sqlite(address.file))
    from agentplat.store.postgres import Postgres

    return SqlStore(Postgres(address, application=application, pool_size=pool_size))
