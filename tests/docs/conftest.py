import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from .pages import ROOT
from .terminal import Desk


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def uv() -> str:
    own = ROOT / ".uv" / "bin" / "uv"
    program = os.environ.get("UV") or (str(own) if own.exists() else shutil.which("uv")) or "uv"
    return program if "/" not in program else str((ROOT / program).resolve())


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A reader's own environment, in which everything is installed already; `pip` installs into it."""
    place = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    ours = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n", encoding="utf-8")
    # What a package requires is here already, and nothing is fetched: neither requirements nor the build backend.
    install = f'shift; exec {uv()} pip install --quiet --offline --no-deps --no-build-isolation "$@"'
    programs = {
        "agentplat": 'exec python -m agentplat.runtime.cli "$@"',
        "pip": f'[ "$1" = install ] && {{ {install}; }}',
    }
    for name, text in programs.items():
        program = place / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
    return place


@pytest.fixture
def variables(tmp_path: Path, environment: Path) -> Mapping[str, str]:
    """What a reader's shell knows: no key or setting of this machine, which would change what is printed."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(environment),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "COLUMNS": "160",
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(home / "uv"),
    }


@pytest.fixture
def desk(tmp_path: Path, variables: Mapping[str, str]) -> Desk:
    """An empty desk: a folder, a shell, a free port in place of 8000."""
    folder = tmp_path / "desk"
    folder.mkdir()
    port = str(free_port())
    return Desk(folder, {**variables, "AGENTPLAT_PORT": port}, {":8000": f":{port}"})
