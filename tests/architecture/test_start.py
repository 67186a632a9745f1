"""What starting up imports. Milliseconds are reported, not asserted: they are the machine's, the modules are ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .gates.packaging import names_of
from .gates.tree import REPOSITORY, distributions

HEAVY = {
    "alembic",
    "cookiecutter",
    "fastapi",
    "genai_prices",
    "httpx",
    "httpx2",
    "psycopg",
    "pydantic",
    "rich",
    "sqlalchemy",
    "starlette",
    "typer",
    "uvicorn",
}
COMMAND = """
import sys
sys.argv = ["agentplat", *{arguments}]
from agentplat.runtime.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
HELP, LIST = COMMAND.format(arguments=["--help"]), COMMAND.format(arguments=["tasks", "list"])
LIGHT = [names_of(folder) for folder in distributions(REPOSITORY)]


def heavy_after(code: str, place: Path) -> tuple[set[str], int]:
    """The heavy modules that are loaded once some code has run in a new process, and how long it took in ms."""
    told = place / "told.json"
    script = (
        f"import sys, time; began = time.perf_counter()\n{code}\n"
        "import json, pathlib\n"
        "spent = round((time.perf_counter() - began) * 1000)\n"
        f"pathlib.Path({str(told)!r}).write_text(json.dumps([sorted(sys.modules), spent]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=place, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    modules, spent = json.loads(told.read_text(encoding="utf-8"))
    return HEAVY & {name.partition(".")[0] for name in modules}, spent


def test_help_imports_nothing_heavy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heavy_after(HELP, tmp_path)  # once to write what Python compiles
    heavy, spent = heavy_after(HELP, tmp_path)
    with capsys.disabled():
        print(f"\nagentplat --help: {spent} ms in the process, every plugin of the repository installed")  # noqa: T201
    assert heavy == set()


def test_a_database_in_a_file_is_read_without_the_driver_of_a_server(tmp_path: Path) -> None:
    heavy, _ = heavy_after(LIST, tmp_path)
    assert ("sqlalchemy" in heavy, "psycopg" in heavy) == (True, False)


@pytest.mark.parametrize("module", ["agentplat", *(f"{imported}.plugin" for _, imported, entry in LIGHT if entry)])
def test_a_light_module_imports_nothing_heavy(module: str, tmp_path: Path) -> None:
    assert heavy_after(f"import {module}", tmp_path)[0] == set()


def test_a_heavy_import_is_seen(tmp_path: Path) -> None:
    assert heavy_after("def f():\n    import pydantic\nf()", tmp_path)[0] == {"pydantic"}
