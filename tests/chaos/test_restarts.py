"""PostgreSQL stops, crashes and loses connections while workers work: what was answered was kept, and all is done once.

The server waits for the disk at every commit, as in production: what it forgot in a crash would be found missing here.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import psycopg
import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.postgres import PostgresServer

from agentplat.store.address import Address
from agentplat.store.connect import open_store

from .processes import Workers, wait_for, write_project
from .serving import served
from .traffic import SEED, Traffic, check_all_done, counted, drained, flowing, in_turn, told

RESTARTS = int(os.environ.get("AGENTPLAT_CHAOS_RESTARTS", "3"))
OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'agentplat%' AND datname = current_database()"


class Restart(StrEnum):
    FAST = "fast"  # connections are ended, everything is written, it stops
    IMMEDIATE = "immediate"  # as when the power fails: it has to recover
    BACKEND_KILLED = "backend_killed"  # one of its processes is gone: it ends all the others, and recovers


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer(durable=True) as server:
        upgrade(server.url())
        yield server


def connected(url: str) -> psycopg.Connection:
    return psycopg.connect(Address.parse(url).libpq, autocommit=True, application_name="the test")


def until(holds: Callable[[psycopg.Connection], object], url: str) -> None:
    """Wait until that is so, on a server that may be away."""

    def does() -> bool:
        with suppress(psycopg.OperationalError), connected(url) as session:
            return bool(holds(session))
        return False

    wait_for(does)


def one_of_ours(session: psycopg.Connection, chance: random.Random) -> int:
    """A process of the server that serves a worker, a keeper or the API."""
    return int(chance.choice(wait_for(lambda: session.execute(OURS).fetchall()))[0])


def terminate(url: str, chance: random.Random) -> None:
    """End one connection of ours from the server's side."""
    with connected(url) as session:
        pid = one_of_ours(session, chance)
        session.execute("SELECT pg_terminate_backend(%s)", [pid])
        gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)"
        wait_for(lambda: session.execute(gone, [pid]).fetchone() == (True,))


def restart(server: PostgresServer, how: Restart, chance: random.Random) -> None:
    """Return when the server has been away, and is back."""
    match how:
        case Restart.FAST:
            server.restart(signal.SIGINT)
        case Restart.IMMEDIATE:
            server.restart(signal.SIGQUIT)
        case Restart.BACKEND_KILLED:
            before = server.recoveries
            with connected(server.url()) as session:
                os.kill(one_of_ours(session, chance), signal.SIGKILL)
            wait_for(lambda: server.recoveries > before)
    until(lambda session: session.execute("SELECT 1").fetchone(), server.url())


@pytest.mark.timeout(180 + RESTARTS * 15)
async def test_no_restart_of_the_database_loses_or_doubles_anything(
    tmp_path: Path, server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    write_project(tmp_path)
    workers = Workers(tmp_path, f"postgresql://{Address.parse(server.url()).rest}", lease_seconds=6.0)
    observer = open_store(server.url())
    struck: Counter[str] = Counter()
    try:
        keepers = [workers.start(), workers.start()]
        with served(tmp_path, workers.database_url) as api:
            traffic = Traffic(lambda key: asyncio.to_thread(api.submit, key), observer, at_once=12)
            async with flowing(traffic, workers, flows=3):
                for how in in_turn(Restart, RESTARTS, chance):
                    await asyncio.to_thread(terminate, server.url(), chance)
                    struck["terminated"] += 1
                    await asyncio.sleep(chance.uniform(0.1, 1.0))
                    await asyncio.to_thread(restart, server, how, chance)
                    struck[how] += 1
                    await asyncio.sleep(chance.uniform(0.1, 1.0))
        await drained(keepers)
        totals = await check_all_done(observer, traffic.accepted, workers.marks, server.url())
    finally:
        workers.end()
        await observer.close()
    told(capsys, f"restarts, seed {SEED}: {counted(struck)}; {totals}, {traffic}")
    assert server.recoveries == struck[Restart.IMMEDIATE] + struck[Restart.BACKEND_KILLED] > 0
    assert set(struck) == {*Restart, "terminated"}, f"seed {SEED}: {struck}"
