import os
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[2]


class Uv(Protocol):
    def __call__(self, *arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]": ...


@pytest.fixture(scope="session")
def uv_path() -> str:
    own = ROOT / ".uv" / "bin" / "uv"
    program = os.environ.get("UV") or (str(own) if own.exists() else shutil.which("uv"))
    assert program, "uv is needed: `make setup` brings it"
    return program if "/" not in program else str((ROOT / program).resolve())


@pytest.fixture(scope="session")
def uv(uv_path: str) -> Uv:
    """Runs uv in a folder. Outside the workspace: there, its sources would stand in for requirements."""

    def call(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([uv_path, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)

    return call
