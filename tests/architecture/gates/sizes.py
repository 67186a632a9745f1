"""Ceilings. Raising one needs a page in docs/decisions."""

import ast
from collections import Counter
from pathlib import Path

from .tree import CORE, source_files, sources

FILE, FUNCTION, FOLDER, WHOLE_CORE = 400, 60, 14, 26_000
COUNTED = {".py", ".sql"}


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def core_size(root: Path) -> int:
    """The lines of the core."""
    return sum(lines_of(root / path) for path in source_files(root, CORE) if path.suffix in COUNTED)


def long_files(root: Path) -> list[str]:
    found = [(path, lines_of(root / path)) for path in source_files(root) if path.suffix in COUNTED]
    return [f"{path}: {lines} lines, at most {FILE}" for path, lines in found if lines > FILE]


def long_functions(root: Path) -> list[str]:
    found = []
    for source in sources(root):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION:
                    found.append(f"{source.where(node)}: {node.name} has {lines} lines, at most {FUNCTION}")
    return found


def crowded_folders(root: Path) -> list[str]:
    count = Counter(source.path.parent for source in sources(root))
    return [f"{folder}: {n} Python files, at most {FOLDER}" for folder, n in count.items() if n > FOLDER]
