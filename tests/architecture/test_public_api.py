import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest

import agentplat
from agentplat.plugins import hookspecs

from .gates.public_api import described

KEPT = Path(__file__).with_name("public_api.txt")
UPDATE = "AGENTPLAT_UPDATE_PUBLIC_API"


def test_what_plugin_authors_build_on_changes_on_purpose_only() -> None:
    """`make public-api` writes the file anew; the change is then seen in review, and belongs into CHANGELOG.md."""
    now = described(agentplat, hookspecs)
    if os.environ.get(UPDATE):
        KEPT.write_text(now, encoding="utf-8")
    assert now == KEPT.read_text(encoding="utf-8")


def module(folder: Path, name: str, text: str) -> ModuleType:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return importlib.import_module(name)


def test_every_argument_and_field_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code = "class A:\n    field: int = 1\n    async def f(self, *, x: int) -> str: ...\n    def _g(self): ...\n"
    names = module(tmp_path, "sample_names", f"__all__ = ['A', 'B']\nB = 1\n{code}")
    hooks = module(tmp_path, "sample_hooks", "def agentplat_x(first: int) -> list: ...\n")
    assert described(names, hooks).splitlines() == [
        "class A()",
        "    field: int = 1",
        "    async def f(self, *, x: int) -> str",
        "B",
        "",
        "hook def agentplat_x(first: int) -> list",
    ]
