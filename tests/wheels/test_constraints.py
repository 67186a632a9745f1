"""The versions in pyproject.toml are the ones that are resolved, and hold no address."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .conftest import ROOT

pytestmark = pytest.mark.wheels


def check(root: Path, uv_path: str) -> int:
    return subprocess.run([sys.executable, ".ci/constraints.py", uv_path, "--check"], cwd=root, check=False).returncode


def test_the_committed_versions_are_the_resolved_ones(uv_path: str) -> None:
    assert check(ROOT, uv_path) == 0


def test_the_committed_versions_hold_no_address() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    lines = [*settings["constraint-dependencies"], *settings["build-constraint-dependencies"]]
    assert lines
    assert [line for line in lines if "/" in line or "==" not in line] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('    "pluggy==', '    "plugged==9",\n    "pluggy=='),  # one too many
        ('    "pytest==', '    # "pytest=='),  # one too few
    ],
)
def test_versions_that_are_not_the_resolved_ones_are_seen(old: str, new: str, uv_path: str, tmp_path: Path) -> None:
    kept = [".ci/constraints.py", "uv.lock", "README.md", "LICENSE"]
    kept += [str(path.relative_to(ROOT)) for path in ROOT.glob("**/pyproject.toml") if ".venv" not in str(path)]
    for name in kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    project = tmp_path / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    assert old in text
    project.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert check(tmp_path, uv_path) == 1
