"""For every run of the suite: says how large the core is, and on what it runs; and what begins first."""

import sqlite3
import sys
from pathlib import Path

import pytest

CEILING = 26_000


def pytest_report_header() -> list[str]:
    """The size of the core, so that nobody is surprised when it nears its ceiling."""
    core = Path(__file__).parent / "core" / "src"
    files = [path for path in core.rglob("*") if path.suffix in {".py", ".sql"}]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    python = ".".join(map(str, sys.version_info[:3]))
    return [f"agentplat core: {lines} of {CEILING} lines; Python {python}, SQLite {sqlite3.sqlite_version}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that take longest first: begun last, one of them would leave the other processes idle for minutes."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/chaos/"))
