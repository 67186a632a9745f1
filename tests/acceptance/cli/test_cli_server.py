"""`run` and `tasks` against a running server, and `tasks` on the same database without one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from .processes import Folder, Running, wait_for


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Folder, Running]]:
    """A folder with `dev` in it."""
    path = tmp_path_factory.mktemp("served") / "here"
    path.mkdir()
    folder = Folder(path)
    with folder.running("dev", "--port", "0") as running:
        running.address()
        yield folder, running


@pytest.fixture
def url(served: tuple[Folder, Running]) -> str:
    return served[1].address()


def test_a_task_is_run_there_and_not_here(url: str, folder: Folder) -> None:
    given = ("--input", '{"topic": "How are leases fenced?"}', "--user", "ada@example.org", "--tenant", "acme")
    ended = folder.call("run", "workflow:simple_sequential", *given, "--url", url, "--json", "--watch")

    *events, task = ended.lines
    assert (ended.code, ended.err) == (0, "")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (task["status"], task["tenant"]) == ("done", "acme")
    assert task["user_hash"]
    assert [step["path"] for step in task["steps"]] == ["conduct_research", "summarize_findings"]
    assert task["workflow_state"]["current"] == "completed"
    assert list(folder.path.iterdir()) == []


def test_it_is_shown_alike_with_and_without_the_server(
    url: str, served: tuple[Folder, Running], folder: Folder
) -> None:
    (task,) = folder.call("run", "tool:calculator", "--input", '{"expression": "1/0"}', "--url", url, "--json").lines
    there = folder.call("tasks", "show", task["id"], "--url", url)
    here = served[0].call("tasks", "show", task["id"])
    assert there == here
    assert there.out.startswith(f"error tool:calculator {task['id']}\ninvalid_input ")
    journals = [Folder.call(served[0], "tasks", "show", task["id"], "--journal", *by) for by in ([], ["--url", url])]
    assert journals[0] == journals[1]
    assert "step_failed" in journals[0].out


def test_tasks_are_listed_newest_first_and_by_status(url: str, folder: Folder) -> None:
    made = [folder.call("run", "tool:calculator", "--input", '{"expression": "1"}', "--url", url, "--json").lines[-1]]
    made += folder.call("run", "tool:calculator", "--input", '{"expression": "1/0"}', "--url", url, "--json").lines[-1:]
    listed = folder.call("tasks", "list", "--url", url, "--json").lines
    assert [task["id"] for task in listed[:2]] == [made[1]["id"], made[0]["id"]]
    failed = folder.call("tasks", "list", "--status", "error", "--limit", "1", "--url", url)
    heads, row = failed.out.splitlines()
    assert heads.split() == ["id", "status", "created", "(UTC)", "cost", "type"]
    assert row.startswith(f"{made[1]['id']}  error ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "workflow:nobody"], 2, "Error (unknown_name): Workflow 'nobody' not found."),
        (["run", "tool:calculator", "--input", '{"wrong": 1}'], 2, "/expression"),
        (["tasks", "show", "nonsense"], 2, "'nonsense' is not a UUID"),
        (["tasks", "show", "01a20916-608e-7216-9ca7-f3f923c66583"], 2, "Error (not_found)"),
        (["tasks", "list", "--status", "broken"], 2, "not one of pending, running"),
        (["tasks", "list", "--limit", "0"], 2, "limit"),
    ],
)
def test_the_servers_words_are_shown(arguments: list[str], code: int, said: str, url: str, folder: Folder) -> None:
    ended = folder.call(*arguments, "--url", url)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


def test_a_task_that_nobody_works_on_is_cancelled_and_retried(folder: Folder) -> None:
    with folder.running("api", "--port", "0") as api:
        body = {"type": "tool:calculator", "input": {"expression": "6*7"}}
        task = httpx.post(f"{api.address()}/tasks", json=body, trust_env=False, timeout=60).json()["id"]
        cancelled = folder.call("tasks", "cancel", task, "--url", api.address(), "--json").lines[-1]
        assert cancelled["status"] == "cancelled"
        again = folder.call("tasks", "cancel", task, "--url", api.address())
        assert (again.code, "Error (illegal_transition)" in again.err) == (2, True)

        (retried,) = folder.call("tasks", "retry", task, "--url", api.address(), "--json").lines
        assert (retried["status"], retried["retry_of"]) == ("pending", task)
        unfinished = folder.call("tasks", "retry", retried["id"], "--url", api.address())
        assert (unfinished.code, "Error (conflict)" in unfinished.err) == (1, True)

    (here,) = folder.call("tasks", "cancel", retried["id"], "--json").lines
    assert here["status"] == "cancelled"
    (once_more,) = folder.call("tasks", "retry", retried["id"], "--json").lines
    assert once_more["retry_of"] == retried["id"]


WAITING = """name: waiting
strategy: sequential
steps:
  - {name: answer, wait: {signal: go, timeout: 1h}}
"""


@pytest.mark.timeout(900)  # two dozen commands, each a process
@pytest.mark.parametrize("remote", [False, True])
def test_a_signal_is_sent_once_with_and_without_a_server(remote: bool, folder: Folder) -> None:
    (folder.path / "workflows").mkdir()
    (folder.path / "workflows" / "waiting.yaml").write_text(WAITING)
    with folder.running("dev", "--port", "0") as dev:
        body = {"type": "workflow:waiting", "input": {}}
        task = httpx.post(f"{dev.address()}/tasks", json=body, trust_env=False, timeout=60).json()["id"]
        to = ["--url", dev.address()] if remote else []

        wait_for(lambda: folder.call("tasks", "show", task, *to, "--json").lines[-1]["status"] == "waiting")
        why = folder.call("why", task, *to)
        assert (why.code, why.err) == (0, "")
        assert why.out.startswith("It waits, and holds no worker. Step 'answer' waits for the signal 'go' until ")
        assert folder.call("why", task, *to, "--json").lines[0]["code"] == "waiting"

        said = folder.call("tasks", "signal", task, "go", "--payload", '{"ok": true}', "--key", "käse", *to, "--json")
        assert (said.code, said.lines) == (0, [{"task_id": task, "name": "go", "key": "käse", "created": True}])
        wait_for(lambda: folder.call("tasks", "show", task, *to, "--json").lines[-1]["status"] == "done")
        shown = folder.call("tasks", "show", task, *to, "--json").lines[-1]
        assert shown["output"] == {"ok": True}

        (version,) = folder.call("workflows", "history", "waiting", *to, "--json").lines
        assert (version["is_current"], version["since"] is not None) == (True, True)
        (folder.path / "workflows" / "waiting.yaml").write_text(WAITING.replace("1h", "2h"))
        shown = folder.call("workflows", "history", "waiting", *to).out.splitlines()
        assert [line.split()[-1] for line in shown[1:2]] == ["current"]
        diff = folder.call("workflows", "diff", "waiting", *to)
        assert (diff.code, "3600" in diff.out, "7200" in diff.out) == (0, True, True)
        (folder.path / "workflows" / "waiting.yaml").write_text("name: waiting\nsteps: 7\n")
        assert "invalid" in folder.call("workflows", "list").out
        (folder.path / "workflows" / "waiting.yaml").write_text(WAITING)
        quote = folder.call("tasks", "fork", task, "--output", 'answer={"ok": 2}', "--dry-run", *to)
        assert quote.out.splitlines()[0] == "given by hand: answer"
        fork = folder.call("tasks", "fork", task, "--output", 'answer={"ok": 2}', *to, "--json").lines[-1]
        assert fork["forked_from"] == task
        wait_for(lambda: folder.call("tasks", "show", fork["id"], *to, "--json").lines[-1]["status"] == "done")
        assert folder.call("tasks", "show", fork["id"], *to, "--json").lines[-1]["output"] == {"ok": 2}
        wrong = folder.call("tasks", "fork", task, "--from", "nobody", *to)
        assert (wrong.code, "which the task has not begun. It has begun: answer" in wrong.err) == (2, True)
        (retried,) = folder.call("tasks", "retry", task, "--from", "answer", *to, "--json").lines
        assert (retried["retry_of"], retried["status"] in ("pending", "running", "waiting")) == (task, True)

        late = folder.call("tasks", "signal", task, "go", *to)
        assert (late.code, "Error (conflict)" in late.err, "is over (done)" in late.err) == (1, True, True)


def ended_well(folder: Folder, show: tuple[str, ...]) -> bool:
    return bool(folder.call(*show).lines[0]["status"] == "done")


ASKING = """name: asking
strategy: sequential
steps:
  - {name: sign_off, approval: {message: "Publish ${{ input.topic }}?", form: {comment: string}}}
"""


@pytest.mark.timeout(900)  # two dozen commands, each a process
@pytest.mark.parametrize("remote", [False, True])
def test_approvals_are_listed_shown_and_answered_with_and_without_a_server(remote: bool, folder: Folder) -> None:
    (folder.path / "workflows").mkdir()
    (folder.path / "workflows" / "asking.yaml").write_text(ASKING)
    with folder.running("dev", "--port", "0") as dev:
        to = ["--url", dev.address()] if remote else []
        made = []
        for topic in ("tea", "coffee"):
            body = {"type": "workflow:asking", "input": {"topic": topic}}
            made.append(httpx.post(f"{dev.address()}/tasks", json=body, trust_env=False, timeout=60).json()["id"])
        wait_for(lambda: len(folder.call("approvals", "list", *to, "--json").lines) == 2)
        heads, *rows = folder.call("approvals", "list", *to).out.splitlines()
        assert heads.split() == ["task", "step", "assignee", "until", "(UTC)", "message"]
        assert [row.split()[0] for row in rows] == made[::-1]
        shown = folder.call("approvals", "show", made[0], *to)
        assert shown.out.startswith("sign_off: Publish tea?\n  for anybody, until it is answered\n{")

        wrong = folder.call("approvals", "approve", made[0], *to)
        assert (wrong.code, "/answers/comment" in wrong.err) == (2, True)
        yes = folder.call("approvals", "approve", made[0], "--answers", '{"comment": "Good."}', *to)
        assert (yes.code, yes.out) == (0, "sign_off: approved.\n")
        assert folder.call("approvals", "reject", made[1], *to, "--json").lines[0]["approved"] is False
        wait_for(lambda: folder.call("approvals", "list", *to, "--json").lines == [])
        for id_, approved in zip(made, (True, False), strict=True):
            show = ("tasks", "show", id_, *to, "--json")
            wait_for(partial(ended_well, folder, show))
            assert folder.call(*show).lines[0]["output"]["approved"] is approved
        late = folder.call("approvals", "approve", made[0], *to)
        assert (late.code, "Error (conflict)" in late.err) == (1, True)


def test_a_server_that_is_away_is_exit_code_1(folder: Folder) -> None:
    ended = folder.call("tasks", "list", "--url", "http://127.0.0.1:1")
    assert ended.code == 1
    assert ended.err.startswith("Error (unavailable): http://127.0.0.1:1 does not answer: ")
    assert list(Path(folder.path).iterdir()) == []
