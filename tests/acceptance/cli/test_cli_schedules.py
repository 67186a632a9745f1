"""`agentplat schedules`, on a database and against a running server."""

import json
from collections.abc import Iterator

import pytest

from .processes import Folder, Running

WORKFLOW = 'name: weekly\nschedule: {cron: "0 7 * * 1", timezone: Europe/Copenhagen}\nsteps: [{agent: summarizer}]\n'
GIVEN = json.dumps({"topic": "bees"})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Folder, Running]]:
    path = tmp_path_factory.mktemp("scheduled") / "here"
    (path / "workflows").mkdir(parents=True)
    (path / "workflows" / "weekly.yaml").write_text(WORKFLOW)
    folder = Folder(path)
    with folder.running("dev", "--port", "0") as running:
        running.address()
        yield folder, running


def test_a_schedule_is_put_shown_paused_resumed_and_deleted_here_and_there_alike(
    served: tuple[Folder, Running],
) -> None:
    folder, url = served[0], ("--url", served[1].address())
    said = folder.call("schedules", "put", "daily", "simple_sequential", "0 7 * * *", "--input", GIVEN, *url)
    assert said.code == 0, said.err
    assert said.out.startswith("daily: workflow simple_sequential at 0 7 * * * (UTC)\n  next ")
    assert said.out.count("  next ") == 5
    there, here = folder.call("schedules", "list", *url), folder.call("schedules", "list")
    assert there == here
    assert [line.split()[:3] for line in there.out.splitlines()[1:]] == [
        ["default", "daily", "simple_sequential"],
        ["default", "weekly", "weekly"],
    ]
    [shown] = folder.call("schedules", "show", "daily", "--json").lines
    assert [shown] == folder.call("schedules", "show", "daily", "--json", *url).lines
    assert (shown["input"], shown["catch_up"], shown["source"]) == ({"topic": "bees"}, "skip", "api")
    assert "It is paused." in folder.call("schedules", "pause", "daily", *url).out
    assert "paused" in folder.call("schedules", "list").out
    assert folder.call("schedules", "resume", "daily", "--json").lines[0]["paused"] is False
    assert folder.call("schedules", "delete", "daily").out == "The schedule daily is deleted.\n"
    assert folder.call("schedules", "delete", "daily", *url).code == 2


def test_a_backfill_says_what_it_would_make_and_makes_it_once(served: tuple[Folder, Running]) -> None:
    folder, url = served[0], ("--url", served[1].address())
    span = ("--from", "2026-01-05T00:00Z", "--to", "2026-01-12T23:59Z")
    for by in ((), url):
        quoted = folder.call("schedules", "backfill", "weekly", *span, "--dry-run", *by)
        assert [line.split(maxsplit=2)[:2] for line in quoted.out.splitlines()[1:]] == [
            ["2026-01-05", "06:00:00"],
            ["2026-01-12", "06:00:00"],
        ]
        assert quoted.out.count("would be made") == 2
        assert "Nothing was made." in quoted.err
    made = folder.call("schedules", "backfill", "weekly", *span, "--json", *url).lines
    again = folder.call("schedules", "backfill", "weekly", *span, "--json").lines
    assert [each["created"] for each in (*made, *again)] == [True, True, False, False]
    assert [each["task_id"] for each in made] == [each["task_id"] for each in again]


def test_what_makes_no_sense_is_said_and_is_a_wrong_use(served: tuple[Folder, Running]) -> None:
    folder, url = served[0], ("--url", served[1].address())
    for by in ((), url):
        wrong = folder.call("schedules", "put", "daily", "simple_sequential", "0 25 * * *", "--input", GIVEN, *by)
        assert wrong.code == 2
        assert "/cron `25` is no hour" in wrong.err
        of_a_file = folder.call("schedules", "delete", "weekly", *by)
        assert of_a_file.code != 0
        assert "the workflow's file" in of_a_file.err
        assert folder.call("schedules", "show", "unknown", *by).code == 2
    assert folder.call("schedules", "put", "d", "weekly", "0 7 * * *", "--input", "[]").code == 2
    assert "no time" in folder.call("schedules", "backfill", "weekly", "--from", "x", "--to", "y").err
