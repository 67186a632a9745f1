"""Where the sources of a checkout are. Every gate takes the root, so that it can be shown a bad tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
CORE = Path("core/src")
SINGLE = ("core", "cli", "analysis", "doctor", "testkit", "migrations", "workflows", "templates")


@dataclass(frozen=True)
class Source:
    """A Python file under a `src/`."""

    root: Path
    path: Path  # relative to the root

    @cached_property
    def text(self) -> str:
        return (self.root / self.path).read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def module(self) -> str:
        parts = self.path.with_suffix("").parts
        parts = parts[parts.index("src") + 1 :]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def where(self, node: ast.AST) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def distributions(root: Path) -> list[Path]:
    """The folders of all distributions except the meta one, relative to the root."""
    found = [Path(name) for name in SINGLE if (root / name / "pyproject.toml").exists()]
    return found + [path.parent.relative_to(root) for path in sorted(root.glob("plugins/*/pyproject.toml"))]


def source_files(root: Path, under: Path | None = None) -> Iterator[Path]:
    """Every file under a `src/`, relative to the root; without those that are templates of files."""
    folders = [under] if under else [folder / "src" for folder in distributions(root)]
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root)
            is_template = any("{{" in part for part in relative.parts)
            if path.is_file() and "__pycache__" not in relative.parts and not is_template:
                yield relative


def sources(root: Path, under: Path | None = None) -> list[Source]:
    """Every Python file under a `src/`, or under one folder."""
    return [Source(root, path) for path in source_files(root, under) if path.suffix == ".py"]


def demand_none(found: list[str]) -> None:
    """Fails with every finding on a line of its own."""
    assert not found, "\n" + "\n".join(found)
