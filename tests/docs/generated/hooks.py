"""Hooks, and the specs that they return."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from agentplat.domain.strategy import BlockView, Settled, Way
from agentplat.plugins import hookspecs
from agentplat.plugins.offers import KINDS

from .tables import code, first_sentence, table

_KEYS = ("Called", "Returns", "Must", "On error", "Since", "Example")


def hooks() -> str:
    """Every hook with what its docstring says."""
    return "\n\n".join(_hook(name, function) for name, function in _functions())


def _functions() -> Iterator[tuple[str, Any]]:
    for name, value in vars(hookspecs).items():
        if name.startswith("agentplat_") and inspect.isfunction(value):
            yield name, value


def _hook(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    arguments = ", ".join(f"{parameter.name}: {parameter.annotation}" for parameter in signature.parameters.values())
    said, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    rows = [(key, _linked(text) if key == "Example" else text) for key, text in _told(rest)]
    return "\n\n".join(
        [
            f"### {name}",
            said,
            f"`def {name}({arguments}) -> {signature.return_annotation}`",
            "\n".join(f"- **{key}**: {text}" for key, text in rows),
        ]
    )


def _told(text: str) -> Iterator[tuple[str, str]]:
    keys = "|".join(_KEYS)
    for found in re.finditer(rf"^({keys}) +(.*?)(?=^(?:{keys}) |\Z)", text, re.MULTILINE | re.DOTALL):
        yield found[1], " ".join(found[2].split())


def _linked(path: str) -> str:
    return f"[{path}](../../{path})"


def specs() -> str:
    """The fields of every spec."""
    return "\n\n".join(f"### {kind.spec.__name__}\n\n{_described(kind.spec)}" for kind in KINDS)


def views() -> str:
    """What a strategy sees."""
    return "\n\n".join(f"`{kind.__name__}`:\n\n{_described(kind)}" for kind in (BlockView, Settled))


def ways() -> str:
    """What it says for pictures."""
    return _described(Way)


def _described(kind: Any) -> str:
    comments = _comments(kind)
    rows = [
        (code(field.name), code(field.type), _default(field), comments.get(field.name, "")) for field in fields(kind)
    ]
    return f"{first_sentence(kind)}\n\n{table(('field', 'type', 'default', 'meaning'), rows)}"


def _default(field: "Field[Any]") -> str:
    if field.default is not MISSING:
        return "a function" if callable(field.default) else code(repr(field.default))
    return "" if field.default_factory is MISSING else "empty"


def _comments(kind: type) -> dict[str, str]:
    """What stands behind a field of the class, or in a text below it."""
    source = inspect.getsource(kind)
    lines = source.splitlines()
    found: dict[str, str] = {}
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)
    for statement, below in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        _, hash_mark, comment = lines[(statement.end_lineno or 1) - 1].partition("  # ")
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            comment, hash_mark = str(below.value.value), "#"
        found[statement.target.id] = comment if hash_mark else ""
    return found
