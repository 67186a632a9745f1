"""Broken documents, each with what has to be said of it: every line of `# expect:` at its head, and nothing else.

A line is what `agentplat workflows validate` prints, without the file: place, code, text and hint. Where words have
changed on purpose, AGENTPLAT_WRITE_CORPUS=1 writes the heads anew.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import agentplat.language
from agentplat.domain.errors import WorkflowInvalid
from agentplat.language.compiler import compile_document
from agentplat.language.diagnostics import nearest
from agentplat.language.yaml import MAX_BYTES, load

from .installed import Installed

if TYPE_CHECKING:
    from .conftest import Load

FILES = sorted((Path(__file__).parent / "corpus").glob("*.yaml"))
EXPECTED = re.compile(rb"# expect: (.*)\n")
REPORTING = {"add", "refuse", "refuse_key", "_refuse"}


def diagnostics(file: Path) -> list[str]:
    try:
        compile_document(load(file.read_bytes(), file.name), Installed())
    except WorkflowInvalid as error:
        return [line.removeprefix(f"{file.name}:") for line in error.diagnostics]
    return []


def expected(file: Path) -> list[str]:
    return [line.decode() for line in EXPECTED.findall(file.read_bytes())]


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_all_that_is_wrong_with_a_document_is_said_at_once_with_its_place_and_what_to_do(file: Path) -> None:
    if "AGENTPLAT_WRITE_CORPUS" in os.environ:
        _write(file)
    assert expected(file), "a document of the corpus says what it expects"
    assert diagnostics(file) == expected(file)


def _write(file: Path) -> None:
    """Say at the head of the file what is said of it now; look at the difference before you keep it."""
    while (found := diagnostics(file)) != expected(file):
        head = "".join(f"# expect: {line}\n" for line in found)
        file.write_bytes(head.encode() + EXPECTED.sub(b"", file.read_bytes()))


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 120


def codes_of_the_compiler() -> set[str]:
    return {code for file in Path(agentplat.language.__path__[0]).glob("*.py") for code in _codes(file)}


def _codes(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if name == "known":
            yield from (f"unknown_{text}" for text in texts[:1])
        elif name in REPORTING:
            yield from (text for text in texts[:1] if text.isidentifier())
            # `f"unknown_{kind}"` of expressions
            yield from ("unknown_filter", "unknown_test") if any(_is_of_kind(each) for each in node.args) else ()


def _is_of_kind(argument: ast.expr) -> bool:
    return isinstance(argument, ast.JoinedStr) and ast.unparse(argument) == "f'unknown_{kind}'"


BY_OTHER_TESTS = {"more_faults"}  # a hundred faults and more


def test_every_code_of_the_compiler_is_in_the_corpus() -> None:
    shown = {line.split(": ")[1] for file in FILES for line in expected(file)}
    assert codes_of_the_compiler() - shown - BY_OTHER_TESTS == set()


def test_every_code_of_the_corpus_is_in_the_documentation() -> None:
    errors = (Path(__file__).parents[3] / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    shown = {line.split(": ")[1] for file in FILES for line in expected(file)}
    assert {code for code in shown if f"`{code}`" not in errors} == set()


def test_a_document_that_is_too_large_is_not_read_at_all(refusals: Load) -> None:
    assert refusals("a: " + "x" * MAX_BYTES) == ["1:1 too_large"]


def test_names_are_compared_as_a_person_would() -> None:
    assert nearest("reserch", ["assessment", "research"]) == "did you mean `research`?"
