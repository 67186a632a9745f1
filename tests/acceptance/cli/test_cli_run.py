"""`agentplat run` on the database of a folder: what it prints, how it ends, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from pathlib import Path

import pytest
from agentplat_testkit.databases import PostgresDatabases

from .processes import Folder, wait_for

CALCULATE = ("run", "tool:calculator", "--input", '{"expression": "6*7"}')
SHORT_LEASE = {"AGENTPLAT_WORKER__LEASE_SECONDS": "3", "AGENTPLAT_WORKER__RENEW_SECONDS": "0.5"}
SLEEPER = '''
import asyncio
from pathlib import Path

from agentplat import Agent, AgentContext


class Sleeper(Agent[dict[str, object], dict[str, object]]):
    """Sleeps until the file `wake` is there."""

    name = "sleeper"

    async def execute(self, input: dict[str, object], ctx: AgentContext) -> dict[str, object]:
        Path("asleep").touch()
        while not Path("wake").exists():
            await asyncio.sleep(0.05)
        return {"slept": True}
'''


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_result_is_printed_and_the_folder_of_the_database_is_for_its_user_only(folder: Folder) -> None:
    ended = folder.call(*CALCULATE)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("done tool:calculator ")
    assert '"result": 42' in ended.out
    assert stat.S_IMODE((folder.path / ".agentplat").stat().st_mode) == 0o700
    assert {path.name for path in folder.path.iterdir()} == {".agentplat"}


def test_programs_read_one_object_a_line_and_the_last_one_is_the_finished_task(folder: Folder) -> None:
    (folder.path / "input.json").write_text('{"topic": "How are leases fenced?"}')
    ended = folder.call("run", "workflow:simple_sequential", "--input", "@input.json", "--json", "--watch")

    *events, task = ended.lines
    assert (ended.code, ended.err) == (0, "")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["kind"] == "task_submitted"
    assert events[-1]["kind"] == "task_finished"
    assert task["status"] == "done"
    assert [step["path"] for step in task["steps"]] == ["conduct_research", "summarize_findings"]
    assert task["output"] == events[-1]["content"]["output"]


def test_what_an_agent_prints_is_no_result(folder: Folder) -> None:
    prints = "print('I was imported')\n" + SLEEPER.replace('Path("asleep").touch()', "print('I work', flush=True)")
    write(folder.path / "agents" / "sleeper.py", prints)
    (folder.path / "wake").touch()
    ended = folder.call("run", "agent:sleeper", "--json")
    assert (ended.code, ended.lines[-1]["status"]) == (0, "done")
    assert "I work" in ended.err


def test_a_failed_task_is_exit_code_1_with_its_reason(folder: Folder) -> None:
    ended = folder.call("run", "tool:calculator", "--input", '{"expression": "6*"}', "--watch")
    assert ended.code == 1
    assert "invalid_input The expression cannot be evaluated" in ended.out
    assert "step_failed" in ended.err

    ended = folder.call("run", "tool:calculator", "--input", '{"expression": "1/0"}', "--json")
    assert ended.code == 1
    (task,) = ended.lines
    assert (task["status"], task["failure"]["code"]) == ("error", "invalid_input")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["workflow:nobody"], "Workflow 'nobody' not found. Available workflows: content_review, "),
        (["nobody"], "workflow:<name>"),
        (["tool:calculator", "--input", "{"], "--input does not fit: / is not JSON"),
        (["tool:calculator", "--input", "[1]"], "is not a JSON object"),
        (["tool:calculator", "--input", "@nowhere.json"], "names a file that cannot be read"),
        (["tool:calculator", "--input", '{"expression": NaN}'], "/expression"),
        (["tool:calculator", "--url", "nowhere"], "is not of the form http://host:port"),
        (["tool:calculator", "--database-url", "mysql://x"], "--database-url: is neither"),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_use_is_exit_code_2_with_a_sentence(arguments: list[str], said: str, folder: Folder) -> None:
    ended = folder.call("run", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_an_email_is_nowhere_in_the_database(folder: Folder) -> None:
    ended = folder.call(*CALCULATE, "--json", "--user", "ada@example.org", "--tenant", "acme")
    (task,) = ended.lines
    assert task["tenant"] == "acme"
    assert re.fullmatch("[0-9a-f]{64}", task["user_hash"])
    assert not any(b"ada@example" in path.read_bytes() for path in (folder.path / ".agentplat").iterdir())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:secret@127.0.0.1:1/nowhere", "database"),
        ("sqlite:////proc/nowhere/agentplat.db", "nowhere"),
        ("sqlite:///text.txt", "database"),
    ],
)
def test_a_database_that_cannot_be_used_is_exit_code_1_with_a_sentence(url: str, said: str, folder: Folder) -> None:
    (folder.path / "text.txt").write_text("This is no database, " * 100)
    ended = folder.call(*CALCULATE, "--database-url", url)
    assert ended.code == 1
    assert said in ended.err
    assert "secret" not in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [CALCULATE, ("worker",), ("api", "--port", "0")])
def test_an_old_schema_on_postgresql_names_the_command_that_helps(
    command: tuple[str, ...], folder: Folder, postgres_databases: PostgresDatabases
) -> None:
    with postgres_databases.fresh(None) as url:
        variables = {"AGENTPLAT_IDENTITY__KEY": "0123456789abcdef"}
        ended = folder.call(*command, "--database-url", re.sub(r"^\w+\+\w+:", "postgresql:", url), **variables)
    assert ended.code in (1, 2)
    assert "agentplat db upgrade" in ended.err
    assert "Traceback" not in ended.err


def test_a_worker_that_cannot_start_ends_the_command(folder: Folder) -> None:
    refuses = "import os, sys\nif 'agentplat.runtime.worker_main' in sys.orig_argv:\n    os._exit(2)\n"
    write(folder.path / "agents" / "refuses.py", refuses)
    ended = folder.call(*CALCULATE)
    assert (ended.code, ended.out) == (1, "")
    assert "The worker ended by itself (exit code 2)" in ended.err


def test_a_worker_that_dies_before_it_works_is_not_started_for_ever(folder: Folder) -> None:
    dies = "import os, sys\nif 'agentplat.runtime.worker_main' in sys.orig_argv:\n    os._exit(1)\n"
    write(folder.path / "agents" / "dies.py", dies)
    ended = folder.call(*CALCULATE)
    assert (ended.code, ended.out) == (1, "")
    assert "The worker ended by itself (exit code 1)" in ended.err


def test_a_keeper_that_is_killed_ends_the_command_and_its_task_goes_on_next_time(folder: Folder) -> None:
    write(folder.path / "agents" / "sleeper.py", SLEEPER)
    with folder.running("run", "agent:sleeper", **SHORT_LEASE) as running:
        wait_for((folder.path / "asleep").exists)
        os.kill(folder.keeper(), signal.SIGKILL)
        assert running.ended() == 1
        assert "The worker ended by itself" in running.said()
    (folder.path / "wake").touch()
    _finishes_next_time(folder)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_whoever_stops_waiting_leaves_a_task_that_goes_on_and_no_process(
    signum: signal.Signals, code: int, folder: Folder
) -> None:
    write(folder.path / "agents" / "sleeper.py", SLEEPER)
    with folder.running("run", "agent:sleeper", **SHORT_LEASE) as running:
        wait_for((folder.path / "asleep").exists)
        assert running.ended(signum) == code
        folder.wait_until_nothing_runs()
        if signum is signal.SIGINT:
            assert "The task is kept. Its state: agentplat tasks show " in running.said()
    (folder.path / "wake").touch()
    _finishes_next_time(folder)


def _finishes_next_time(folder: Folder) -> None:
    """A worker that has nothing but what was left, until that is done."""
    with folder.running("worker", AGENTPLAT_WORKER__POLL_SECONDS="0.1") as worker:
        wait_for(lambda: folder.statuses() == ["done"])
        assert worker.ended(signal.SIGTERM) == 0
    (task,) = folder.call("tasks", "list", "--json").lines
    assert json.dumps(task["output"]) == '{"slept": true}'
