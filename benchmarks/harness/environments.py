"""The peers' own environments, each made by uv at its first use and kept; the newest versions, and which they were."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
FOLDER_VARIABLE = "BENCH_ENVIRONMENTS"
_MADE = "made.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an environment holds. Each has psycopg too: the counters of the harness use it."""

    packages: tuple[str, ...]

    @property
    def all_packages(self) -> tuple[str, ...]:
        return (*self.packages, "psycopg[binary]")


RECIPES = {
    "limit": Recipe(("asyncpg", "uvloop")),
    "procrastinate": Recipe(("procrastinate", "psycopg[binary,pool]")),
    "pgqueuer": Recipe(("pgqueuer[asyncpg]", "uvloop")),
    "dbos": Recipe(("dbos",)),
    "celery": Recipe(("celery[redis]", "gevent")),
    "langgraph": Recipe(
        ("langgraph", "langgraph-checkpoint-postgres", "langgraph-checkpoint-sqlite", "psycopg[binary,pool]")
    ),
}


class EnvironmentMissing(RuntimeError):
    """It could not be made; the text holds what uv said."""


def folder() -> Path:
    """Where they are: BENCH_ENVIRONMENTS, or a folder of the checkout that git ignores."""
    return Path(os.environ.get(FOLDER_VARIABLE, CHECKOUT / ".venv-benchmarks")).absolute()


def python_of(peer: str) -> str:
    """The interpreter of a peer's environment. Raises EnvironmentMissing. agentplat's is the one that runs this."""
    if peer not in RECIPES:
        return sys.executable
    place = folder() / peer
    python = place / "bin" / "python"
    wanted = json.dumps(RECIPES[peer].all_packages)
    made = place / _MADE
    if not made.exists() or made.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(place, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(place))
        _uv("pip", "install", "--python", str(python), *RECIPES[peer].all_packages)
        made.write_text(wanted, encoding="utf-8")
    return str(python)


def _uv(*arguments: str) -> None:
    own = CHECKOUT / ".uv" / "bin" / "uv"
    program = str(own) if own.exists() else shutil.which("uv")
    if program is None:
        raise EnvironmentMissing("There is no uv. Run `make setup`, which brings it.")
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "UV_PYTHON")}
    # Not in the checkout, whose constraints are its own: a peer has the newest of everything.
    done = subprocess.run([program, *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EnvironmentMissing(f"uv {arguments[0]} failed: {done.stderr.strip()[-1500:]}")
