"""A copy of the core with one bug in it, and tests that run on the copy instead of the real one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "core" / "src" / "agentplat"
_PATIENCE = 300.0
_CANNOT_WORK = re.compile(
    r"""
    (?:^(?:E\ )?\ *|\\n)(?:\w+\.)*                          # where an exception begins: in a report, in a log
    (?:SyntaxError|IndentationError|NameError|UnboundLocalError|ImportError|ModuleNotFoundError):
    | \bpsycopg\.errors\.(?:SyntaxError|Undefined\w+|Ambiguous\w+)\b[):]
    | \bOperationalError[:)]\ (?:near\ .*syntax\ error|no\ such\ |ambiguous\ |incomplete\ input|unrecognized\ token)
    """,
    re.MULTILINE | re.VERBOSE,
)
"""What a program says that is not wrong but none at all: every test fails on it."""


@dataclass(frozen=True)
class Bug:
    """Changes of one file below `core/src/agentplat`, and the fast tests that must notice: each of them fails."""

    what: str
    file: str
    changes: tuple[tuple[str, str], ...]
    caught_by: tuple[str, ...]
    by_model: bool = True  # whether the state machine must notice it, too

    def __str__(self) -> str:
        return self.what

    def applied(self, source: str) -> str:
        """The source with the bug. LookupError when a text that it replaces is not there exactly once."""
        for before, after in self.changes:
            if (times := source.count(before)) != 1:
                raise LookupError(
                    f"The bug {self.what!r} replaces a text that is {times} times in {self.file}:\n{before}\n"
                    "Where the code has changed, give the bug in tests/protocol/bugs.toml the new text."
                )
            source = source.replace(before, after)
        return source


def source_of(bug: Bug) -> str:
    return (SOURCE / bug.file).read_text(encoding="utf-8")


def copy_core(folder: Path, bug: Bug | None = None) -> Path:
    """The folder for PYTHONPATH, with a copy of the core in it."""
    copied = folder / "agentplat"
    shutil.copytree(SOURCE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    if bug is not None:
        (copied / bug.file).write_text(bug.applied(source_of(bug)), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Outcome:
    """Of a run of tests. `broken`: they could not even begin, or what they test could not: that proves nothing."""

    passed: int
    failed: int
    broken: int
    output: str


def run_tests(folder: Path, tests: tuple[str, ...], postgres_url: str) -> Outcome:
    """Run these tests, by their pytest ids, on the core that lies in `folder`."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=120", f"--junitxml={report}"]
    command += ["-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:randomly", *tests]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AGENTPLAT_TEST_POSTGRES_URL": postgres_url,
    }
    finished = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    output = finished.stdout + finished.stderr
    if not report.exists():
        return Outcome(0, 0, 1, output)
    [suite] = ET.parse(report).getroot().iter("testsuite")
    total, failed, broken = (int(suite.get(name, "0")) for name in ("tests", "failures", "errors"))
    if _CANNOT_WORK.search(output):
        failed, broken = 0, failed + broken
    return Outcome(total - failed - broken - int(suite.get("skipped", "0")), failed, broken, output)
