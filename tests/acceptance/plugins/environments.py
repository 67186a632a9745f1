"""Empty environments, into which wheels of this repository and small packages are installed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .programs import Program

ROOT = Path(__file__).parents[3]
META = "agentplat"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with a folder to work in, outside of the workspace."""

    uv: str
    wheels: Path
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def agentplat(self) -> Program:
        return Program(self.python, self.folder)

    def make(self) -> None:
        """Makes it, with nothing in it."""
        versions = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
        (self.folder / "versions.txt").write_text("\n".join(versions["constraint-dependencies"]), encoding="utf-8")
        self._call("venv", "--python", sys.executable, "venv")

    def install(self, *requirements: str | Path) -> None:
        """Installs wheels by the names of their distributions, packages by their folders."""
        sources = ("--find-links", self.wheels, "--constraints", "versions.txt")
        self._call("pip", "install", "--python", self.python, *sources, *requirements)

    def uninstall(self, distribution: str) -> None:
        self._call("pip", "uninstall", "--python", self.python, distribution)

    def _call(self, *arguments: str | Path) -> None:
        command = [self.uv, *map(str, arguments), "--quiet"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def distributions(wheels: Path) -> set[str]:
    """The distributions that the wheels are of."""
    return {path.name.split("-")[0].replace("_", "-") for path in wheels.glob("*.whl")}


def everything(wheels: Path, *, but: str | None = None) -> list[str]:
    """All distributions, each by itself: the meta one would bring what `but` leaves out."""
    names = sorted(distributions(wheels) - {META, but})
    return [f"{name}[server]" if name == "agentplat-core" else name for name in names]


def write_package(folder: Path, plugin: str, modules: Mapping[str, str], *, name: str | None = None) -> Path:
    """The folder of a new distribution that offers `plugin`; `modules` are those of its package, by name."""
    name = name or f"agentplat-{plugin}"
    package, place = name.replace("-", "_"), folder / name
    (place / "src" / package).mkdir(parents=True)
    for module, text in {"__init__": "", **modules}.items():
        (place / "src" / package / f"{module}.py").write_text(text, encoding="utf-8")
    (place / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.2.3"\ndependencies = ["agentplat-core"]\n'
        f'[project.entry-points.agentplat]\n{plugin} = "{package}.plugin"\n'
        '[build-system]\nrequires = ["hatchling>=1.33"]\nbuild-backend = "hatchling.build"\n'
        f'[tool.hatch.build.targets.wheel]\npackages = ["src/{package}"]\n',
        encoding="utf-8",
    )
    return place
