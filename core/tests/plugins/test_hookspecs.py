"""The hooks are their own reference: each docstring has the same headings, and names a file that shows the hook."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agentplat.plugins import hookspecs
from agentplat.plugins.offers import KINDS

REPOSITORY = Path(__file__).parents[3]
HEADINGS = ["Called", "Returns", "Must", "On error", "Since", "Example"]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("agentplat_")}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_a_hook_says_when_it_is_called_and_what_it_must(hook: Callable[..., object]) -> None:
    text = inspect.getdoc(hook) or ""

    assert re.findall(r"^(\S+(?: \S+)?) {2,}\S", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("name", HOOKS)
def test_the_example_of_a_hook_implements_it(name: str) -> None:
    text = inspect.getdoc(HOOKS[name]) or ""
    example = REPOSITORY / re.findall(r"^Example +(\S+)$", text, re.MULTILINE)[0]

    tree = ast.parse(example.read_text(encoding="utf-8"))
    marked = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and "hookimpl" in {ast.unparse(mark) for mark in node.decorator_list}
    }
    assert name in marked


def test_there_is_one_offer_hook_for_each_kind_and_no_more() -> None:
    observers = {"agentplat_task_changed", "agentplat_step_changed", "agentplat_process_started"}

    assert {kind.hook for kind in KINDS} | observers == set(HOOKS)
