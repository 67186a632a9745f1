import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .environments import ROOT, Environment

collect_ignore = ["packages"]  # their tests run where they are installed


@pytest.fixture(scope="session")
def uv_path() -> str:
    own = ROOT / ".uv" / "bin" / "uv"
    program = os.environ.get("UV") or (str(own) if own.exists() else shutil.which("uv"))
    assert program, "uv is needed: `make setup` brings it"
    return program if "/" not in program else str((ROOT / program).resolve())


@pytest.fixture(scope="session")
def wheels(uv_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The wheels of this repository, built now."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [uv_path, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_environment(
    uv_path: str, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Environment]]:
    """Makes empty environments, which are removed at the end."""
    made: list[Environment] = []

    def make() -> Environment:
        environment = Environment(uv_path, wheels, tmp_path_factory.mktemp("environment"))
        environment.make()
        made.append(environment)
        return environment

    yield make
    for environment in made:
        shutil.rmtree(environment.folder)
