"""Every distribution, built and installed alone: what it imports is what it requires, and nothing is left out."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, Uv

META = "agentplat"
FOLDERS = {
    path.parent.relative_to(ROOT): f"agentplat-{path.parent.name}"
    for pattern in ("*/pyproject.toml", "plugins/*/pyproject.toml")
    for path in sorted(ROOT.glob(pattern))
}
IMPORT_EVERYTHING = """
import importlib, importlib.metadata, pkgutil, sys
distribution, *packages = sys.argv[1:]
for package in packages:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{package}."):
        # What others run: python -m, and Alembic, which has to be running for its environment to be read.
        if not found.name.endswith((".__main__", ".environment.env")):
            importlib.import_module(found.name)
for entry_point in importlib.metadata.distribution(distribution).entry_points:
    entry_point.load()
"""

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(900)]


def imported_alone(uv: Uv, distribution: str, wheels: Path, place: Path) -> str:
    """What goes wrong when a wheel is installed alone into an empty environment, and all of it is imported."""
    made = uv("venv", "--quiet", "--python", sys.executable, place / "venv", cwd=place)
    assert made.returncode == 0, made.stderr
    python = place / "venv" / "bin" / "python"
    versions = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    (place / "versions.txt").write_text("\n".join(versions["constraint-dependencies"]), encoding="utf-8")
    sources: list[str | Path] = ["--find-links", wheels, "--constraints", "versions.txt"]
    installed = uv("pip", "install", "--quiet", "--python", python, *sources, distribution, cwd=place)
    if installed.returncode:
        return installed.stderr
    packages = [] if distribution == META else [distribution.removesuffix("-core").replace("-", "_")]
    command = [str(python), "-I", "-c", IMPORT_EVERYTHING, distribution, *packages]
    tried = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    return tried.stderr if tried.returncode else ""


@pytest.fixture(scope="module")
def wheels(uv: Uv, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    built = uv("build", "--quiet", "--all-packages", "--wheel", "--out-dir", folder, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    yield folder
    shutil.rmtree(folder)


def test_there_is_one_wheel_for_every_distribution(wheels: Path) -> None:
    names = {path.name.split("-")[0].replace("_", "-") for path in wheels.glob("*.whl")}
    assert names == {META, *FOLDERS.values()}


@pytest.mark.parametrize("distribution", [META, *FOLDERS.values()])
def test_a_distribution_alone_imports_with_only_its_own_requirements(
    uv: Uv, distribution: str, wheels: Path, tmp_path: Path
) -> None:
    assert imported_alone(uv, distribution, wheels, tmp_path) == ""


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_wheel_holds_every_file_of_its_sources(folder: Path, wheels: Path) -> None:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src"]
    listed = subprocess.run(command, cwd=ROOT / folder, capture_output=True, check=True, text=True).stdout
    sources = {name.removeprefix("src/") for name in listed.split("\0") if name and (ROOT / folder / name).exists()}
    (wheel,) = wheels.glob(f"{FOLDERS[folder].replace('-', '_')}-[0-9]*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == sources


def test_a_requirement_that_was_forgotten_is_seen(uv: Uv, tmp_path: Path) -> None:
    project = tmp_path / "tool-broken"
    package = project / "src" / "agentplat_tool_broken"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "tool.py").write_text("import httpx\n")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "agentplat-tool-broken"\nversion = "0.1.0"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    built = uv("build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", cwd=project)
    assert built.returncode == 0, built.stderr
    assert "No module named 'httpx'" in imported_alone(uv, "agentplat-tool-broken", tmp_path / "dist", tmp_path)
