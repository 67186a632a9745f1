import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agentplat_doctor.predicates import PREDICATES
from agentplat_doctor.questions import QUESTIONS, codes
from sqlalchemy import update
from typer import Typer
from typer.testing import CliRunner

from agentplat.store.tables import queue, tasks

from .hand import Dialect, hand, id_of
from .healthy import TASKS

POSTGRESQL = [code for question in QUESTIONS if question.dialect == "postgresql" for code in codes(question)]
WARNED = {"commits_may_be_lost"}
"""What the server of the tests is warned about."""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTPLAT_DATABASE_URL", raising=False)
    return tmp_path


def run(url: str, *arguments: str) -> tuple[int, str]:
    from agentplat_doctor.cli import doctor

    app = Typer()
    app.command()(doctor)
    plain = url.replace("+psycopg", "").replace("+aiosqlite", "")
    result = CliRunner().invoke(app, ["--database-url", plain, *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def break_total(url: str) -> None:
    with hand(url) as striking:
        striking.do(update(tasks).where(tasks.c.id == id_of("done")).values(cost=31))


def test_a_healthy_database_gives_a_line_and_exit_code_0(healthy: Callable[[Dialect], str]) -> None:
    code, said = run(healthy("sqlite"))
    assert (code, said.count("\n")) == (0, 1)
    assert said.startswith(f"Everything holds ({len(PREDICATES) - len(POSTGRESQL)} predicates, {len(TASKS)} tasks, ")


def test_an_error_is_explained_and_gives_exit_code_1(healthy_url: str) -> None:
    break_total(healthy_url)
    code, said = run(healthy_url)
    assert code == 1
    text = " ".join(said.split())
    predicate = PREDICATES["totals_differ"]
    for part in ("error", "totals_differ", predicate.wrong, predicate.meaning, f"Next: {predicate.next}"):
        assert part in text
    assert str(id_of("done")) in said
    assert "Errors: 1" in said


def test_warnings_alone_give_exit_code_0(healthy_url: str) -> None:
    with hand(healthy_url) as striking:
        striking.do(update(queue).where(queue.c.ready).values(run_at=striking.ago(hours=1)))
    code, said = run(healthy_url)
    assert code == 0
    assert "waits_for_worker" in said


def test_programs_get_one_object_a_line_and_the_summary_last(healthy_url: str) -> None:
    break_total(healthy_url)
    code, said = run(healthy_url, "--json")
    *lines, summary = [json.loads(line) for line in said.splitlines()]
    by_code: dict[str, dict[str, Any]] = {line["code"]: line for line in lines}
    assert code == 1
    assert by_code["totals_differ"]["examples"] == [str(id_of("done"))]
    assert {code for code, line in by_code.items() if line["count"] and line["level"] == "error"} == {"totals_differ"}
    assert by_code["journal_gap"]["count"] == 0
    assert summary["summary"] == "errors"
    assert (summary["errors"], summary["tasks"], summary["predicates"]) == (1, len(TASKS), len(lines))
    assert {finding["code"] for finding in lines if finding["level"] == "warning" and finding["count"]} <= WARNED


def test_the_command_is_found_through_its_plugin(empty_folder: Path) -> None:
    command = [sys.executable, "-m", "agentplat.runtime.cli"]
    subprocess.run([*command, "db", "upgrade"], check=True, capture_output=True)
    said = subprocess.run([*command, "doctor"], check=True, capture_output=True, text=True)
    assert said.stdout.startswith("Everything holds (")
    assert said.stderr == ""


def test_what_is_offered_imports_nothing_heavy() -> None:
    heavy = ["sqlalchemy", "pydantic", "psycopg", "rich", "typer"]
    code = (
        "import sys; from agentplat_doctor import plugin; plugin.agentplat_commands(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
