import json
import subprocess
import sys
from pathlib import Path

import pytest
from agentplat_migrations.cli import app
from agentplat_migrations.schema import upgrade
from typer.testing import CliRunner

from agentplat.store.tables import REVISION


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTPLAT_DATABASE_URL", raising=False)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def plain(url: str) -> str:
    return url.replace("+psycopg", "").replace("+aiosqlite", "")


def test_a_database_goes_from_nothing_to_the_newest_revision(database_url: str) -> None:
    where = ("--database-url", plain(database_url))
    code, said = run("check", *where)
    assert (code, f"{REVISION} is needed" in said) == (1, True)
    code, said = run("current", *where)
    assert code == 0
    assert "no schema yet" in said
    assert "agentplat db upgrade" in said
    assert run("upgrade", *where) == (0, f"Upgraded from nothing to {REVISION}.\n")
    assert run("upgrade", *where) == (0, f"Nothing to do: {REVISION}.\n")
    assert run("current", *where) == (0, f"{REVISION}\n")
    assert run("check", *where) == (0, f"The schema fits: {REVISION}.\n")


def test_programs_get_one_object(database_url: str) -> None:
    where = ("--json", "--database-url", plain(database_url))
    code, said = run("check", *where)
    missing = json.loads(said)
    assert (code, missing["revision"], missing["newest"]) == (1, None, REVISION)
    assert missing["differences"]
    assert json.loads(run("upgrade", *where)[1]) == {"before": None, "revision": REVISION}
    assert json.loads(run("current", *where)[1]) == {"revision": REVISION, "newest": REVISION}
    assert json.loads(run("check", *where)[1]) == {"revision": REVISION, "newest": REVISION, "differences": []}


def test_without_an_address_the_project_says_which_database(empty_folder: Path) -> None:
    (empty_folder / "agentplat.toml").write_text('database_url = "sqlite:///here.db"\n')
    assert run("upgrade")[0] == 0
    assert (empty_folder / "here.db").exists()


def test_without_anything_it_is_the_file_that_everything_else_uses(empty_folder: Path) -> None:
    assert run("upgrade")[0] == 0
    assert (empty_folder / ".agentplat" / "agentplat.db").exists()


def test_the_command_is_found_through_its_plugin(empty_folder: Path) -> None:
    upgrade(f"sqlite:///{empty_folder}/here.db")
    command = [sys.executable, "-m", "agentplat.runtime.cli", "db", "current", "--database-url", "sqlite:///here.db"]
    assert subprocess.check_output(command, text=True) == f"{REVISION}\n"


def test_what_is_offered_imports_nothing_heavy() -> None:
    heavy = ["sqlalchemy", "alembic", "pydantic", "psycopg"]
    code = (
        "import sys; from agentplat_migrations import plugin; plugin.agentplat_migrations(); "
        f"plugin.agentplat_commands(); print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
