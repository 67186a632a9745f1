"""What plugin authors build on, as text: the names of `agentplat`, their members, and the hooks."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType


def described(module: ModuleType, hooks: ModuleType) -> str:
    """One line a thing, read from the source, so that it is the same on every Python."""
    lines: list[str] = []
    for name in sorted(module.__all__):
        lines += _described_name(name, getattr(module, name))
    lines.append("")
    for node in ast.parse(inspect.getsource(hooks)).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            lines.append(f"hook {_signature(node)}")
    return "\n".join(lines) + "\n"


def _described_name(name: str, value: object) -> Iterator[str]:
    if not inspect.isclass(value):
        yield name
        return
    home = ast.parse(inspect.getsource(importlib.import_module(value.__module__)))
    node = next(node for node in home.body if isinstance(node, ast.ClassDef) and node.name == value.__name__)
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    yield f"class {name}({bases})"
    for statement in node.body:
        yield from (f"    {line}" for line in _described_member(statement))


def _described_member(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            if not name.startswith("_") or name in {"__init__", "__call__"}:
                marks = "".join(f"@{ast.unparse(mark)} " for mark in statement.decorator_list)
                yield f"{marks}{_signature(statement)}"
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            if not name.startswith("_"):
                yield ast.unparse(statement)
        case _:
            pass


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{kind} {node.name}({ast.unparse(node.args)}){returned}"
