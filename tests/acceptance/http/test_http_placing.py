"""A place in the queue, many tasks at once, and limits, over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from . import shapes
from .conftest import NewDatabase
from .processes import Server, served
from .shapes import demand, pointers, problem

ECHO = {"type": "agent:echo", "input": {"a": 1}}


def batch(server: Server, *tasks: dict[str, Any], **headers: str) -> Any:
    return server.post("/v1/tasks:batch", {"tasks": list(tasks)}, **headers)


def count(server: Server, tenant: str) -> int:
    return len(server.get("/tasks", tenant_id=tenant, limit=1000).json())


@pytest.fixture(scope="module")
def slow_and_default(folder: Path, new_database: NewDatabase) -> Iterator[Server]:
    """An API whose worker serves two queues."""
    variables = {"AGENTPLAT_WORKER__QUEUES": "slow, default"}
    with served(folder / "two-queues", new_database(), worked=True, **variables) as server:
        yield server


def test_a_task_with_a_place_in_the_queue_is_a_task_like_others(idle: Server) -> None:
    placed = {"queue": "slow", "concurrency_key": "crm", "priority": 3, "run_at": "2020-01-01T00:00:00Z"}
    answer = idle.post("/v1/tasks", {**ECHO, **placed})
    assert answer.status_code == 201
    demand(answer.json(), shapes.TASK)
    assert answer.json()["status"] == "pending"


def test_a_worker_serves_the_queues_that_it_is_told(slow_and_default: Server) -> None:
    for queue in ("slow", "default"):
        task = slow_and_default.post("/v1/tasks", {**ECHO, "queue": queue}).json()
        assert slow_and_default.ended(task["id"])["status"] == "done"
    other = slow_and_default.post("/v1/tasks", {**ECHO, "queue": "other"}).json()
    later = slow_and_default.post("/v1/tasks", {**ECHO}).json()
    slow_and_default.ended(later["id"])
    assert slow_and_default.task(other["id"])["status"] == "pending"


def test_a_task_does_not_run_before_its_time(server: Server) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    far = (datetime.now(UTC) + timedelta(days=100)).isoformat()
    [later, never] = [server.post("/v1/tasks", {**ECHO, "run_at": at}).json() for at in (soon, far)]
    now = server.post("/v1/tasks", ECHO).json()
    assert server.ended(now["id"])["updated_at"] < server.ended(later["id"])["updated_at"]
    assert server.task(later["id"])["updated_at"] >= soon[:19]
    assert server.task(never["id"])["status"] == "pending"


def test_an_answer_is_held_until_the_task_has_ended(server: Server) -> None:
    answer = server.post("/v1/tasks", {**ECHO, "input": {"n": 1}, "wait": 60})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["status"], answer.json()["output"]["given"]) == ("done", {"n": 1})
    failed = server.post("/v1/tasks", {"type": "agent:failing", "input": {}, "wait": 60}).json()
    assert (failed["status"], bool(failed["error"])) == ("error", True)


def test_an_answer_is_held_no_longer_than_was_asked_for(idle: Server) -> None:
    key = str(uuid4())
    answer = idle.post("/v1/tasks", {**ECHO, "wait": 0.2}, Idempotency_Key=key)
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    again = idle.post("/v1/tasks", ECHO, Idempotency_Key=key)
    assert again.json()["id"] == answer.json()["id"]  # to wait is no part of what is submitted


def test_the_same_key_with_another_place_is_another_body(idle: Server) -> None:
    key = str(uuid4())
    first = idle.post("/v1/tasks", ECHO, Idempotency_Key=key)
    again = idle.post("/v1/tasks", ECHO, Idempotency_Key=key)
    other = idle.post("/v1/tasks", {**ECHO, "queue": "slow"}, Idempotency_Key=key)
    assert first.json()["id"] == again.json()["id"]
    problem(other, 409, "was used before")


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"queue": ""}, "/queue"),
        ({"concurrency_key": ""}, "/concurrency_key"),
        ({"concurrency_key": "x" * 256}, "/concurrency_key"),
        ({"priority": 1_000_001}, "/priority"),
        ({"priority": "1"}, "/priority"),
        ({"wait": -1}, "/wait"),
        ({"wait": 61}, "/wait"),
        ({"run_at": "tomorrow"}, "/run_at"),
        ({"run_at": "2026-12-01T00:00:00"}, "/run_at"),
        ({"run_at": "9999-12-31T23:59:59-12:00"}, "/run_at"),
        ({"run_at": "0001-01-01T00:00:00+12:00"}, "/run_at"),
    ],
    ids=str,
)
def test_a_place_that_makes_no_sense_is_refused(idle: Server, wrong: dict[str, Any], pointer: str) -> None:
    found = problem(idle.post("/v1/tasks", {**ECHO, **wrong}), 422)
    assert pointers(found) == [pointer]


def test_a_batch_is_accepted_in_the_order_of_the_request(idle: Server) -> None:
    tenant = f"batch-{uuid4()}"
    tasks = [{**ECHO, "input": {"n": n}, "tenant_id": tenant, "priority": n} for n in range(1000)]
    answer = batch(idle, *tasks)
    assert answer.status_code == 201, answer.text
    accepted = answer.json()["tasks"]
    assert len({each["id"] for each in accepted}) == 1000
    assert all(each["created"] for each in accepted)
    assert idle.task(accepted[7]["id"])["input"] == {"n": 7}
    assert count(idle, tenant) == 1000


def test_a_batch_that_is_sent_again_makes_nothing_new(idle: Server) -> None:
    tenant, key, own = f"batch-{uuid4()}", str(uuid4()), str(uuid4())
    tasks = [{**ECHO, "tenant_id": tenant}, {**ECHO, "tenant_id": tenant}]
    tasks.append({**ECHO, "tenant_id": tenant, "idempotency_key": own})
    first, again = [batch(idle, *tasks, Idempotency_Key=key).json()["tasks"] for _ in range(2)]
    assert [each["id"] for each in first] == [each["id"] for each in again]
    assert [each["created"] for each in (*first, *again)] == [True] * 3 + [False] * 3
    single = idle.post("/v1/tasks", tasks[2], Idempotency_Key=own)
    assert single.json()["id"] == first[2]["id"]
    other = batch(idle, {**tasks[0], "input": {"b": 2}}, {**ECHO, "tenant_id": tenant}, Idempotency_Key=key)
    problem(other, 409, "was used before")
    assert count(idle, tenant) == 3


def test_of_a_batch_with_a_fault_nothing_is_kept_and_every_fault_is_named(idle: Server) -> None:
    tenant = f"batch-{uuid4()}"
    good = {**ECHO, "tenant_id": tenant}
    found = problem(
        batch(idle, good, {**good, "type": "agent:nobody"}, good, {**good, "type": "tool:scripted", "input": {}}),
        422,
    )
    assert pointers(found) == ["/tasks/1/type", "/tasks/3/type"]
    assert "Agent 'nobody' not found" in found["errors"][0]["detail"]
    found = problem(batch(idle, good, {**good, "priority": "high"}), 422)
    assert pointers(found) == ["/tasks/1/priority"]
    assert count(idle, tenant) == 0


def test_a_batch_has_one_to_a_thousand_tasks(idle: Server) -> None:
    for tasks in ([], [{"type": "agent:echo"}] * 1001):
        found = problem(batch(idle, *tasks), 422)
        assert pointers(found) == ["/tasks"]


def test_a_limit_holds_and_a_task_that_waits_for_it_says_so(server: Server) -> None:
    tenant = f"limit-{uuid4()}"
    path = f"/v1/limits?tenant_id={tenant}&key=crm"
    answer = server.request("PUT", path, json={"at_once": 0})
    assert answer.status_code == 200, answer.text
    assert answer.json()["at_once"] == 0
    task = server.post("/v1/tasks", {**ECHO, "tenant_id": tenant, "concurrency_key": "crm"}).json()
    free = server.post("/v1/tasks", {**ECHO, "tenant_id": tenant}).json()
    assert server.ended(free["id"])["status"] == "done"
    held = server.task(task["id"])
    assert (held["status"], held["reason"]) == ("pending", "waits for the limit `crm`: 0 of 0 running")
    [listed] = [limit for limit in server.get("/v1/limits").json() if limit["tenant_id"] == tenant]
    assert (listed["key"], listed["at_once"], listed["running"]) == ("crm", 0, 0)
    assert server.get(path).json() == [listed]
    assert server.get(f"{path}x").json() == []
    assert server.get(f"/v1/limits?tenant_id={tenant}x").json() == []
    assert server.request("DELETE", path).status_code == 200
    assert server.ended(task["id"])["status"] == "done"
    problem(server.request("DELETE", path), 404, "There is no limit")


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({}, ""),
        ({"at_once": -1}, "/at_once"),
        ({"starts": 3}, "/seconds"),
        ({"starts": 10_001, "seconds": 1}, "/starts"),
        ({"at_once": 1, "weight": 2}, "/weight"),
    ],
    ids=str,
)
def test_a_limit_that_makes_no_sense_is_refused(idle: Server, wrong: dict[str, Any], pointer: str) -> None:
    found = problem(idle.request("PUT", "/v1/limits?tenant_id=acme&key=crm", json=wrong), 422)
    assert pointers(found) == [pointer]
