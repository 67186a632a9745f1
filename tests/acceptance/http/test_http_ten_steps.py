"""Ten steps in a row: retried after the seventh failed for good, and forked from the fourth."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agentplat.store.address import Address

from .processes import Server

STEPS = [f"s{n}" for n in range(1, 11)]


class Marks:
    """What the steps themselves say of their executions."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "marks"

    def taken(self) -> Counter[str]:
        """Since the last time."""
        found = Counter(self.file.read_text().split())
        self.file.unlink()
        return found


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path)


def kept(server: Server, id_: str) -> list[tuple[Any, ...]]:
    """The task's rows in the database: of its journal, and its own."""
    file = server.database_url.removeprefix("sqlite:///")
    if file == server.database_url:
        with psycopg.connect(Address.parse(server.database_url).libpq) as session:
            journal = session.execute("SELECT j::text FROM agentplat.journal j WHERE task_id = %s ORDER BY seq", [id_])
            return [*journal.fetchall(), *session.execute("SELECT t::text FROM agentplat.tasks t WHERE id = %s", [id_])]
    with closing(sqlite3.connect(file)) as session:
        key = [id_.replace("-", "")]
        journal_rows = session.execute("SELECT * FROM journal WHERE task_id = ? ORDER BY seq", key).fetchall()
        return [*journal_rows, *session.execute("SELECT * FROM tasks WHERE id = ?", key)]


def seen(server: Server, id_: str) -> tuple[Any, ...]:
    """All that is known of the task, byte for byte."""
    rows = kept(server, id_)
    assert len(rows) > len(STEPS)
    return server.get(f"/tasks/{id_}").content, server.get(f"/v1/tasks/{id_}/journal").content, rows


def broken(server: Server, marks: Marks, file: Path) -> str:
    """A task whose seventh step failed for good."""
    task = server.ended(server.submit("workflow:ten", {"marks": str(marks.file), "file": str(file)})["id"])
    assert (task["status"], task["failure"]["code"], task["failure"]["retryable"]) == ("error", "refused", False)
    assert marks.taken() == Counter(STEPS[:7])
    return str(task["id"])


def outputs(task: dict[str, Any]) -> dict[str, Any]:
    return {step["name"]: step["output"] for step in task["subtasks"]}


def reused(task: dict[str, Any]) -> list[str]:
    return [step["name"] for step in task["subtasks"] if step["reused"]]


def test_a_retry_runs_from_the_seventh_step_on_and_the_six_before_it_not_again(
    server: Server, marks: Marks, tmp_path: Path
) -> None:
    file = tmp_path / "mended"
    source = broken(server, marks, file)
    before = seen(server, source)
    quote = server.request("POST", f"/v1/tasks/{source}:retry?dry_run=true").json()
    assert (quote["reused"], quote["again"]) == (STEPS[:6], ["s7"])

    file.touch()
    again = server.ended(server.request("POST", f"/v1/tasks/{source}:retry").json()["id"])
    assert (again["status"], again["retry_of"]) == ("done", source)
    assert marks.taken() == Counter(STEPS[6:])
    assert reused(again) == STEPS[:6]
    assert outputs(again) == {
        step: {"step": step, "given": earlier} for earlier, step in zip([None, *STEPS], STEPS, strict=False)
    }
    assert seen(server, source) == before


def test_a_retry_that_meets_the_same_failure_can_be_retried_and_still_repeats_nothing(
    server: Server, marks: Marks, tmp_path: Path
) -> None:
    file = tmp_path / "mended"
    first = broken(server, marks, file)
    second = server.ended(server.request("POST", f"/v1/tasks/{first}:retry").json()["id"])
    assert (second["status"], marks.taken()) == ("error", Counter(["s7"]))
    file.touch()
    third = server.ended(server.request("POST", f"/v1/tasks/{second['id']}:retry").json()["id"])
    assert (third["status"], third["retry_of"], marks.taken()) == ("done", second["id"], Counter(STEPS[6:]))


def test_a_fork_from_the_fourth_step_with_another_input_leaves_its_source_byte_for_byte(
    server: Server, marks: Marks, tmp_path: Path
) -> None:
    file = tmp_path / "there from the beginning"
    file.touch()
    given = {"marks": str(marks.file), "file": str(file)}
    source = server.ended(server.submit("workflow:ten", given)["id"])["id"]
    assert marks.taken() == Counter(STEPS)
    before = seen(server, source)

    other = {"step": "another", "marks": str(marks.file), "given": "by hand"}
    answer = server.post(f"/v1/tasks/{source}:fork", {"from": "s4", "input": other})
    assert answer.status_code == 201, answer.text
    fork = server.ended(answer.json()["id"])
    assert (fork["status"], fork["forked_from"]) == ("done", source)
    assert marks.taken() == Counter(["another", *STEPS[4:]])
    assert reused(fork) == STEPS[:3]
    assert outputs(fork)["s4"] == {"step": "another", "given": "by hand"}
    assert outputs(fork)["s5"] == {"step": "s5", "given": "another"}
    assert seen(server, source) == before


def test_a_task_that_failed_can_be_forked_from_before_its_failure(server: Server, marks: Marks, tmp_path: Path) -> None:
    file = tmp_path / "mended"
    source = broken(server, marks, file)
    before = seen(server, source)
    file.touch()
    fork = server.ended(server.post(f"/v1/tasks/{source}:fork", {"from": "s4"}).json()["id"])
    assert (fork["status"], marks.taken()) == ("done", Counter(STEPS[3:]))
    assert seen(server, source) == before
