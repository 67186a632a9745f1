"""`/v1/schedules`: put, read, pause, resume, backfill and remove; and what fires while a server runs."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from .processes import Server
from .shapes import pointers, problem

BODY = {"target": "simple_sequential", "input": {"topic": "bees"}, "cron": "0 7 * * *", "timezone": "Europe/Copenhagen"}


def put(server: Server, name: str, **values: Any) -> Any:
    return server.request("PUT", f"/v1/schedules/{name}", json={**BODY, **values})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_schedule_is_put_read_listed_and_removed(idle: Server) -> None:
    answer = put(idle, "morning", catch_up="all", catch_up_limit=5)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert {key: made[key] for key in BODY} == BODY
    assert (made["name"], made["tenant_id"], made["source"], made["paused"]) == ("morning", "default", "api", False)
    assert (made["catch_up"], made["catch_up_limit"]) == ("all", 5)
    assert len(made["upcoming"]) == 5
    assert made["next_at"] == made["upcoming"][0]
    hours = {at(each).astimezone().utctimetuple().tm_hour for each in made["upcoming"]}
    assert hours <= {5, 6}  # seven in Copenhagen
    assert idle.get("/v1/schedules/morning").json() == made
    other = idle.request("PUT", "/v1/schedules/morning?tenant_id=acme", json=BODY).json()
    listed = [(each["tenant_id"], each["name"]) for each in idle.get("/v1/schedules").json()]
    assert listed == sorted(listed)
    assert {("acme", "morning"), ("default", "morning")} <= set(listed)
    assert idle.get("/v1/schedules", tenant_id="acme").json() == [other]
    for tenant in ("acme", "default"):
        assert idle.request("DELETE", "/v1/schedules/morning", params={"tenant_id": tenant}).status_code == 200
    assert not [each for each in idle.get("/v1/schedules").json() if each["name"] == "morning"]
    problem(idle.request("DELETE", "/v1/schedules/morning"), 404, "no schedule 'morning'")


def test_pause_and_resume(idle: Server) -> None:
    put(idle, "resting")
    for _ in range(2):
        paused = idle.post("/v1/schedules/resting:pause", None).json()
        assert (paused["paused"], paused["next_at"], paused["upcoming"]) == (True, None, [])
    assert put(idle, "resting", cron="0 8 * * *").json()["paused"]
    for _ in range(2):
        resumed = idle.post("/v1/schedules/resting:resume", None).json()
        assert not resumed["paused"]
        assert at(resumed["next_at"]) > datetime.now(UTC)
    problem(idle.post("/v1/schedules/unknown:pause", None), 404, "unknown")
    idle.request("DELETE", "/v1/schedules/resting")


def test_a_backfill_is_quoted_made_and_made_once(idle: Server) -> None:
    tenant = str(uuid4())
    idle.request("PUT", f"/v1/schedules/past?tenant_id={tenant}", json={**BODY, "timezone": "UTC"})
    path, span = (
        f"/v1/schedules/past:backfill?tenant_id={tenant}",
        {"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T07:00:00Z"},
    )
    quoted = idle.post(f"{path}&dry_run=true", span).json()["times"]
    assert [each["at"] for each in quoted] == [f"2026-01-0{day}T07:00:00Z" for day in (1, 2, 3)]
    assert not any(each["created"] or each["task_id"] for each in quoted)
    assert idle.get("/tasks", tenant_id=tenant).json() == []
    made = idle.post(path, span).json()["times"]
    assert all(each["created"] for each in made)
    again = idle.post(path, span).json()["times"]
    assert [each["task_id"] for each in again] == [each["task_id"] for each in made]
    assert not any(each["created"] for each in again)
    tasks = idle.get("/tasks", tenant_id=tenant).json()
    assert {task["id"] for task in tasks} == {each["task_id"] for each in made}
    assert all(task["input"]["topic"] == "bees" for task in tasks)


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"cron": "0 25 * * *"}, "/cron"),
        ({"cron": "every day"}, "/cron"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"target": "no_such_workflow"}, "/target"),
        ({"input": {"a": "\0"}}, "/input/a"),
        ({"input": []}, "/input"),
        ({"catch_up": "some"}, "/catch_up"),
        ({"catch_up_limit": 0}, "/catch_up_limit"),
        ({"cron": 7}, "/cron"),
    ],
)
def test_nonsense_is_refused_at_the_door(values: dict[str, Any], pointer: str, idle: Server) -> None:
    assert pointers(problem(put(idle, "wrong", **values), 422)) == [pointer]
    assert idle.get("/v1/schedules/wrong").status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"from": "2026-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z"}, "/to"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "/from"),
        ({"from": "2026-01-01T00:00:00", "to": "2026-01-02T00:00:00Z"}, "/from"),
        ({"from": "0001-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, "/from"),
        ({"to": "2026-01-02T00:00:00Z"}, "/from"),
        ({"from": "2016-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, "/to"),
    ],
)
def test_a_backfill_has_bounds(body: dict[str, str], pointer: str, idle: Server) -> None:
    put(idle, "bounded")
    assert pointers(problem(idle.post("/v1/schedules/bounded:backfill", body), 422)) == [pointer]
    idle.request("DELETE", "/v1/schedules/bounded")


def test_a_workflow_that_is_put_brings_its_schedule_and_keeps_it(idle: Server) -> None:
    text = 'name: timed\nschedule: {cron: "0 7 * * 1"}\nsteps: [{agent: echo}]\n'
    etag = idle.request("PUT", "/v1/workflows/timed", json={"text": text}).json()["etag"]
    found = idle.get("/v1/schedules/timed").json()
    assert (found["source"], found["cron"], found["target"]) == ("file", "0 7 * * 1", "timed")
    said = problem(put(idle, "timed"), 409, "the workflow's file")
    assert said["error_code"] == "conflict"
    problem(idle.request("DELETE", "/v1/schedules/timed"), 409, "the workflow's file")
    without = {"text": text.replace('schedule: {cron: "0 7 * * 1"}\n', "")}
    idle.request("PUT", "/v1/workflows/timed", json=without, headers={"If-Match": etag})
    assert idle.get("/v1/schedules/timed").status_code == 404


def test_it_fires_by_itself_while_a_server_runs(server: Server) -> None:
    due = at(put(server, "often", cron="* * * * *").json()["next_at"])
    assert due - datetime.now(UTC) <= timedelta(minutes=1)
    while True:
        found = server.get("/v1/schedules/often").json()
        if found["last_at"] is not None:
            break
        time.sleep(0.5)
    assert at(found["last_at"]) >= due
    assert found["fault"] is None
    task = server.ended(found["last_task_id"])
    assert (task["type"], task["status"], task["input"]) == ("workflow:simple_sequential", "done", {"topic": "bees"})
    assert at(task["created_at"]) >= at(found["last_at"])
    server.request("DELETE", "/v1/schedules/often")
