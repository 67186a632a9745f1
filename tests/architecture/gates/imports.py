"""What may be imported where, and what the pure centre may not touch. Layers are import-linter's business."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from .tree import CORE, Source, sources

# The part of the standard library without clock, chance, files, processes or threads.
PURE = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "textwrap",
    "types",
    "typing",
    "unicodedata",
    "uuid",
}
IMPURE_ATTRIBUTES = {"now", "utcnow", "today", "fromtimestamp", "uuid1", "uuid4", "uuid6", "uuid7", "getnode"}
IMPURE_NAMES = {
    "breakpoint",
    "compile",
    "eval",
    "exec",
    "globals",
    "hash",
    "id",
    "input",
    "open",
    "print",
    "__import__",
}

# Libraries of the core that only one layer may know.
OWNERS = {
    "aiosqlite": "agentplat.store",
    "cronsim": "agentplat.language",
    "fastapi": "nobody",
    "minijinja": "agentplat.language",
    "opentelemetry": "agentplat.telemetry",
    "pluggy": "agentplat.plugins",
    "prometheus_client": "agentplat.telemetry",
    "psycopg": "agentplat.store",
    "pydantic_settings": "agentplat.runtime",
    "rich": "agentplat.runtime",
    "sqlalchemy": "agentplat.store",
    "stevedore": "agentplat.plugins",
    "typer": "agentplat.runtime",
    "uvicorn": "agentplat.runtime",
    "yaml": "agentplat.language",
}


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports, by their full names; relative ones start with a dot."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, level=level):
            yield "." * level + (module or "")


def _at_import_time(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported: not in functions, not under TYPE_CHECKING."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop()
        yield statement
        match statement:
            case ast.If(test=test, body=body, orelse=orelse):
                waiting += orelse if "TYPE_CHECKING" in ast.unparse(test) else [*body, *orelse]
            case ast.Try(body=body, orelse=orelse, finalbody=finalbody, handlers=handlers):
                waiting += [*body, *orelse, *finalbody, *(s for handler in handlers for s in handler.body)]
            case ast.With(body=body) | ast.ClassDef(body=body):
                waiting += body


def _layer(root: Path, name: str) -> list[Source]:
    return sources(root, CORE / "agentplat" / name)


def impure_domain(root: Path) -> list[str]:
    """Whatever in the domain could give two answers to one question, or wait, or be seen from outside."""
    found = []
    for source in _layer(root, "domain"):
        for node in ast.walk(source.tree):
            found += [f"{source.where(node)}: {what}" for what in _impurities(node)]
    return found


def _impurities(node: ast.AST) -> Iterator[str]:
    for module in imported(node):
        if module.split(".")[0] not in PURE and not module.startswith("agentplat.domain"):
            yield f"imports {module}, which is not pure"
    match node:
        case ast.Attribute(attr=name) if name in IMPURE_ATTRIBUTES:
            yield f"asks for {name}"
        case ast.Call(func=ast.Name(id=name)) if name in IMPURE_NAMES:
            yield f"uses {name}()"
        case ast.ImportFrom(names=names):
            yield from (f"imports {alias.name}" for alias in names if alias.name in IMPURE_ATTRIBUTES)
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield "waits"
        case ast.Global():
            yield "keeps state outside its values"


def heavy_contracts(root: Path) -> list[str]:
    """Contracts are read by every plugin's light module, so that importing them must cost nothing."""
    found = []
    for source in _layer(root, "contracts"):
        for node in _at_import_time(source.tree):
            for module in imported(node):
                top = module.split(".")[0]
                if top not in sys.stdlib_module_names and not module.startswith(
                    ("agentplat.domain", "agentplat.contracts")
                ):
                    found.append(f"{source.where(node)}: imports {module} at import time")
    return found


def strayed_libraries(root: Path) -> list[str]:
    """Libraries in a layer of the core that is not theirs."""
    found = []
    for source in sources(root, CORE):
        for node in ast.walk(source.tree):
            for module in imported(node):
                owner = OWNERS.get(module.split(".")[0])
                if owner and not f"{source.module}.".startswith(f"{owner}."):
                    found.append(f"{source.where(node)}: {module} belongs to {owner}")
    return found


def named_plugins(root: Path) -> list[str]:
    """Plugins that the core names: in its code and in the texts that it shows, not in its documentation."""
    folders = [path.parent.name for path in root.glob("plugins/*/pyproject.toml")]
    names = [f"agentplat-{name}" for name in folders] + [f"agentplat_{name.replace('-', '_')}" for name in folders]
    names += [
        "agentplat_cli",
        "agentplat_analysis",
        "agentplat_doctor",
        "agentplat_migrations",
        "agentplat_templates",
        "agentplat_testkit",
        "agentplat_workflows",
    ]
    found = []
    for source in sources(root, CORE):
        documentation = _docstrings(source.tree)
        for node in ast.walk(source.tree):
            said = list(imported(node))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
                said.append(node.value)
            found += [f"{source.where(node)}: names {name}" for name in names for text in said if name in text]
    return found


def named_offers(root: Path, offers: set[str]) -> list[str]:
    """Agents, tools, providers, interfaces and workflows that the core knows by name."""
    found = []
    for source in sources(root, CORE):
        documentation = _docstrings(source.tree)
        found += [
            f"{source.where(node)}: names {node.value}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Constant) and node.value in offers and node not in documentation
        ]
    return found


def _docstrings(tree: ast.Module) -> set[ast.Constant]:
    """Strings that stand as statements: docstrings, and the remarks below an attribute."""
    return {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
