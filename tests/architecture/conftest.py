from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Plant = Callable[[dict[str, str]], Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Makes a checkout of the given files: a gate that cannot fail on a bad one guards nothing."""

    def planted(files: dict[str, str]) -> Path:
        for name, text in ({"core/pyproject.toml": ""} | files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return tmp_path

    return planted
