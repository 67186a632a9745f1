"""The real PgBouncer, where it is installed: by transaction, and with nothing taken that it does not take by itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

__all__ = ["is_installed", "pgbouncer"]

_PATIENCE = 60.0
_SETTINGS = """
[databases]
* = host={host} port={port}{password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listening}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
"""


def is_installed() -> bool:
    """Whether there is one to be started."""
    return shutil.which("pgbouncer") is not None


@contextmanager
def pgbouncer(upstream: str) -> Iterator[str]:
    """The address of the database at `upstream`, behind a PgBouncer that is there as long as this lasts."""
    direct = make_url(upstream).difference_update_query(["pooled"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        listening = int(free.getsockname()[1])
    behind = direct.difference_update_query(["host", "port"]).set(host="127.0.0.1", port=listening)
    with tempfile.TemporaryDirectory(prefix="agentplat-pgbouncer-") as folder:
        command = ["pgbouncer", str(_written(direct, listening, Path(folder)))]
        if os.geteuid() == 0:  # it refuses root
            command = ["unshare", "--user", "--", *command]
        with (Path(folder) / "output.txt").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_for(behind, process)
            yield behind.render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.wait()


def _written(direct: URL, listening: int, folder: Path) -> Path:
    (folder / "users.txt").write_text(f'"{direct.username}" ""\n', encoding="utf-8")
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        _SETTINGS.format(
            host=direct.query.get("host") or direct.host,
            port=direct.query.get("port") or direct.port or 5432,
            password=f" password={direct.password}" if direct.password else "",
            listening=listening,
            folder=folder,
        ),
        encoding="utf-8",
    )
    return settings


def _wait_for(behind: URL, process: subprocess.Popen[bytes]) -> None:
    address = behind.set(drivername="postgresql").render_as_string(hide_password=False)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(address, connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
