"""What the pages claim about the repository is there: tests, modules, keys."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentplat.language.compiler import WORKFLOW_KEYS
from agentplat.language.parts import RETRY_KEYS
from agentplat.language.steps import BODIES, CALL_KEYS, COMMON_KEYS
from agentplat.language.syntax import FILTERS, TESTS
from agentplat.plugins.host import load_plugins
from agentplat.runtime.cli.main import CORE_COMMANDS

from .pages import DOCS, ROOT, blocks, pages
from .terminal import commands

OURS = [page for page in pages() if page.is_relative_to(DOCS) or page.parent == ROOT]
CODE = re.compile(r"`([^`\n]+)`")
TEST = re.compile(r"^- `([\w/.-]+\.py)::(\w+(?:::\w+)?)`$", re.MULTILINE)


def code_in(page: Path) -> set[str]:
    return set(CODE.findall(page.read_text(encoding="utf-8")))


def found_in(file: Path) -> set[str]:
    """As pytest names them within their file."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else ():
        within = [node] if not isinstance(node, ast.ClassDef) else node.body
        of = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {of + each.name for each in within if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def missing_tests(page: Path, root: Path) -> list[str]:
    """The tests that a page names and that are not there."""
    named = TEST.findall(page.read_text(encoding="utf-8"))
    return [f"{file}::{name}" for file, name in named if name not in found_in(root / file)]


def typed_in(page: Path) -> list[str]:
    """Everything on a page that a reader may type: blocks for a shell, and code within sentences."""
    shown = list(blocks(page))
    typed = [command for block in shown if block.language == "console" for command, _ in commands(block.text)]
    return [*typed, *(block.text for block in shown if block.language == "sh"), *code_in(page)]


@pytest.mark.parametrize("page", OURS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    known = {*CORE_COMMANDS, *(spec.name for spec in load_plugins().registries.commands)}
    text = "\n".join(typed_in(page))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) - targets == set()
    assert set(re.findall(r"(?:^|[(|;] *|until |=\S+ )agentplat ([a-z]+)\b", text, re.MULTILINE)) - known == set()


GUARANTEES = DOCS / "explanation" / "guarantees.md"
PROMISES = GUARANTEES.read_text(encoding="utf-8").split("\n## ")[1:-2]


def test_every_guarantee_names_tests_that_exist() -> None:
    assert missing_tests(GUARANTEES, ROOT) == []
    assert [text.splitlines()[0] for text in PROMISES if not TEST.search(text)] == []


@pytest.mark.parametrize("promise", PROMISES, ids=lambda text: text.splitlines()[0])
def test_the_command_of_a_guarantee_runs_its_tests_and_no_others(promise: str) -> None:
    [link] = re.findall(r"^`make promise OF=([\w-]+)`\n\n- `", promise, re.MULTILINE)
    command = [sys.executable, ".ci/promised.py", link]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.split() == [f"{file}::{name}" for file, name in TEST.findall(promise)]
    assert "$(BIN)/python .ci/promised.py $(OF)" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_test_that_was_renamed_is_seen(tmp_path: Path) -> None:
    named = ["t.py::test_old", "t.py::test_new", "t.py::TestAll::test_one", "t.py::test_one", "gone.py::test_x"]
    (tmp_path / "a.md").write_text("".join(f"- `{name}`\n" for name in named), encoding="utf-8")
    code = "async def test_new() -> None: ...\nclass TestAll:\n    def test_one(self) -> None: ...\n"
    (tmp_path / "t.py").write_text(code, encoding="utf-8")
    assert missing_tests(tmp_path / "a.md", tmp_path) == ["t.py::test_old", "t.py::test_one", "gone.py::test_x"]


def test_the_reading_order_leads_through_every_file_of_the_core() -> None:
    source = ROOT / "core" / "src" / "agentplat"
    files = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.suffix in {".py", ".sql"} and (path.name != "__init__.py" or path.parent == source)
    }
    named = {name for name in code_in(ROOT / "core" / "README.md") if name.endswith((".py", ".sql"))}
    assert {name for name in files if name not in named and f"{Path(name).parent}/*.sql" not in named} == set()
    assert {name for name in named if "*" not in name} - files == set()


@pytest.mark.parametrize(
    "known",
    [
        WORKFLOW_KEYS | COMMON_KEYS | CALL_KEYS | set(BODIES) | RETRY_KEYS | {"duration", "signal", "wall_time"},
        FILTERS,
        TESTS,
    ],
    ids=["keys", "filters", "tests"],
)
def test_the_reference_of_workflows_has_every_word_of_the_language(known: set[str]) -> None:
    assert known - code_in(DOCS / "reference" / "workflow.md") == set()
