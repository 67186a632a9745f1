"""Ending tasks by hand, cancelling and retrying them, and submitting one twice."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import requests

from . import shapes
from .processes import Server, wait_for
from .shapes import OVER, STATUSES, demand, pointers, problem

Made: TypeAlias = tuple[Server, str]

LEGAL = {
    "pending": {"cancelled"},
    "running": {"done", "error", "cancelled"},
    "waiting": {"cancelled"},
    "done": set[str](),
    "error": set[str](),
    "cancelled": set[str](),
}


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that ends the steps of `patient`."""
    return tmp_path / "go"


@pytest.fixture
def made(server: Server, idle: Server, gate: Path) -> Any:
    """Makes tasks of any state."""

    def make(status: str) -> Made:
        if status == "pending":
            return idle, idle.submit("agent:echo", {"kept": 1})["id"]
        kinds = {"running": "agent:patient", "waiting": "workflow:told", "error": "agent:failing"}
        task = server.submit(
            kinds.get(status, "agent:echo" if status == "done" else "workflow:told"), {"file": str(gate)}
        )
        if status == "cancelled":
            assert server.request("POST", f"/v1/tasks/{task['id']}:cancel").status_code == 200
        server.until(task["id"], lambda now: now["status"] == status)
        return server, task["id"]

    yield make
    gate.touch()


Make: TypeAlias = Callable[[str], Made]


@pytest.mark.parametrize("status", STATUSES)
def test_what_a_state_does_not_allow_is_refused_and_changes_nothing(made: Make, status: str) -> None:
    server, id_ = made(status)
    before = server.task(id_)
    for wanted in STATUSES:
        if wanted not in LEGAL[status]:
            answer = server.patch(id_, status=wanted, output={"by": "hand"}, error="by hand")
            assert problem(answer, 422, status)["error_code"] == "illegal_transition"
    after = server.task(id_)
    assert {name: after[name] for name in ("status", "output", "error")} == {
        name: before[name] for name in ("status", "output", "error")
    }


@pytest.mark.parametrize(("status", "wanted"), [(s, w) for s in STATUSES for w in sorted(LEGAL[s])])
def test_what_a_state_allows_is_done(made: Make, status: str, wanted: str) -> None:
    server, id_ = made(status)

    answer = server.patch(id_, status=wanted, output={"by": "hand"}, error=None if wanted == "done" else "As I say.")

    assert answer.status_code == 200
    task = answer.json()
    demand(task, shapes.TASK)
    assert task == server.task(id_)
    assert (task["status"], task["output"]) == (wanted, {"by": "hand"})
    assert task["error"] == (None if wanted == "done" else "As I say.")
    events = server.get(f"/v1/tasks/{id_}/journal").json()
    assert events[-1]["kind"] == "task_finished"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert problem(server.patch(id_, status=wanted), 422)


def test_an_error_by_hand_has_a_reason_even_if_nobody_gave_one(made: Make) -> None:
    server, id_ = made("running")
    task = server.patch(id_, status="error").json()
    assert "administrator" in task["error"]


def test_the_owner_of_a_task_that_was_ended_by_hand_loses_it(server: Server, gate: Path) -> None:
    worker = server.worker
    assert worker is not None
    task = server.submit("agent:patient", {"file": str(gate)})
    server.until(task["id"], lambda now: now["status"] == "running")

    assert server.patch(task["id"], status="done", output={"by": "hand"}).status_code == 200
    gate.touch()

    def is_told() -> bool:
        return any("lease_lost" in line and task["id"] in line for line in worker.written().splitlines())

    wait_for(is_told)
    assert server.task(task["id"])["output"] == {"by": "hand"}
    kinds = [event["kind"] for event in server.get(f"/v1/tasks/{task['id']}/journal").json()]
    assert kinds.count("task_finished") == 1
    assert kinds[-1] == "task_finished"
    assert "step_succeeded" not in kinds


def test_of_many_who_end_a_task_at_once_one_does(idle: Server) -> None:
    id_ = idle.submit("agent:echo")["id"]

    def end(n: int) -> int:
        return requests.patch(
            f"{idle.url}/tasks/{id_}", json={"status": "cancelled", "error": f"by {n}"}, timeout=60
        ).status_code

    with ThreadPoolExecutor(20) as pool:
        codes = sorted(pool.map(end, range(20)))
    assert codes == [200] + [422] * 19
    kinds = [event["kind"] for event in idle.get(f"/v1/tasks/{id_}/journal").json()]
    assert kinds.count("task_finished") == 1


def test_a_change_of_nothing_is_no_change(idle: Server) -> None:
    task = idle.submit("agent:echo")
    assert idle.patch(task["id"]).json() == task
    assert idle.patch(task["id"], status=None, output=None, error=None, also=1).json() == task


def test_a_change_that_does_not_fit_is_refused_with_its_place(idle: Server) -> None:
    id_ = idle.submit("agent:echo")["id"]
    for body, pointer in (
        ({"status": "finished"}, "/status"),
        ({"status": 7}, "/status"),
        ({"output": {}}, "/status"),
        ({"error": "x"}, "/status"),
        ({"status": "cancelled", "output": []}, "/output"),
        ({"status": "cancelled", "output": "x"}, "/output"),
        ({"status": "cancelled", "error": {}}, "/error"),
        ({"status": "cancelled", "error": "x" * 10_001}, "/error"),
        ({"status": "cancelled", "error": "\0"}, "/error"),
        ({"status": "cancelled", "output": {"a": ["\0"]}}, "/output/a/0"),
    ):
        assert pointers(problem(idle.patch(id_, **body), 422)) == [pointer], body
    for raw in (b'{"status": "cancelled", "error": "\\ud800"}', b'{"status": "cancelled", "output": {"a": NaN}}', b"{"):
        problem(idle.send(raw, f"/tasks/{id_}", "PATCH"), 422)
    assert idle.task(id_)["status"] == "pending"


def test_unknown_tasks_cannot_be_steered(idle: Server) -> None:
    for id_ in ("01a20908-d67f-76ae-969d-267b07477882", "no-uuid"):
        problem(idle.patch(id_, status="cancelled"), 404)
        problem(idle.request("POST", f"/v1/tasks/{id_}:cancel"), 404)
        problem(idle.request("POST", f"/v1/tasks/{id_}:retry"), 404)
        problem(idle.get(f"/v1/tasks/{id_}/journal"), 404)


# --- cancel and retry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending", "waiting"])
def test_a_task_that_nobody_works_on_is_cancelled_at_once(made: Make, status: str) -> None:
    server, id_ = made(status)
    answer = server.request("POST", f"/v1/tasks/{id_}:cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert server.task(id_)["failure"]["code"] == "cancelled"


def test_a_running_task_is_cancelled_by_its_owner(made: Make) -> None:
    server, id_ = made("running")
    answer = server.request("POST", f"/v1/tasks/{id_}:cancel").json()
    assert answer["id"] == id_
    assert answer["cancel_requested"] or answer["status"] == "cancelled"
    assert server.ended(id_)["status"] == "cancelled"


@pytest.mark.parametrize("status", OVER)
def test_a_task_that_is_over_cannot_be_cancelled_but_retried(made: Make, status: str) -> None:
    server, id_ = made(status)
    before = server.task(id_)
    problem(server.request("POST", f"/v1/tasks/{id_}:cancel"), 422, status)

    answer = server.request("POST", f"/v1/tasks/{id_}:retry")

    assert answer.status_code == 201
    again = server.task(answer.json()["id"])
    assert again["id"] != id_
    assert (again["retry_of"], again["type"], again["input"]) == (id_, before["type"], before["input"])
    assert server.task(id_) == before
    server.until(again["id"], lambda now: now["status"] in (*OVER, "waiting"))


@pytest.mark.parametrize("status", ["pending", "running", "waiting"])
def test_a_task_that_is_not_over_cannot_be_retried(made: Make, status: str) -> None:
    server, id_ = made(status)
    problem(server.request("POST", f"/v1/tasks/{id_}:retry"), 409, status)


# --- what a retry or a fork takes over -------------------------------------------------------------------------


def cancelled_half_way(server: Server) -> str:
    """A task whose first step is done, and which was cancelled while the second one waited."""
    task = server.submit("workflow:told", {"topic": "tea"})
    server.until(task["id"], lambda now: now["status"] == "waiting")
    server.request("POST", f"/v1/tasks/{task['id']}:cancel")
    return str(server.ended(task["id"])["id"])


def test_a_retry_goes_on_where_the_task_ended_and_leaves_it_as_it_was(server: Server) -> None:
    source = cancelled_half_way(server)
    before = server.get(f"/tasks/{source}").content, server.get(f"/v1/tasks/{source}/journal").content

    quote = server.request("POST", f"/v1/tasks/{source}:retry?dry_run=true")
    assert quote.status_code == 200
    assert quote.json() == {
        "source": source,
        "reused": ["before"],
        "edited": [],
        "again": ["answer"],
        "undecided": [],
        "saved": {"input_tokens": 0, "output_tokens": 0, "total_cost": 0.0},
    }
    answers = [server.request("POST", f"/v1/tasks/{source}:retry", headers={"Idempotency-Key": "r"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    again = answers[0].json()["id"]
    server.until(again, lambda now: now["status"] == "waiting")
    server.post(f"/v1/tasks/{again}:signal", {"name": "go", "payload": "yes"})
    ended = server.ended(again)
    assert (ended["status"], ended["retry_of"], ended["forked_from"]) == ("done", source, None)
    assert [(step["name"], step["reused"]) for step in ended["subtasks"]] == [
        ("before", True),
        ("answer", False),
        ("after", False),
    ]
    assert (server.get(f"/tasks/{source}").content, server.get(f"/v1/tasks/{source}/journal").content) == before


@pytest.mark.parametrize("edit", [{"input": {"x": 1}}, {"outputs": {"before": 1}}, {"input": 1}])
def test_a_retry_refuses_what_only_a_fork_can_edit(server: Server, edit: dict[str, Any]) -> None:
    source = cancelled_half_way(server)
    for query in ("", "?dry_run=true"):
        refused = problem(server.post(f"/v1/tasks/{source}:retry{query}", {"from": "", **edit}), 422)
        assert set(pointers(refused)) == {f"/{next(iter(edit))}"}
    # What nobody knows is ignored here as everywhere.
    assert server.post(f"/v1/tasks/{source}:retry?dry_run=true", {"nobody": 1}).status_code == 200


def test_a_quote_of_what_begins_anew_lists_all_of_it(server: Server) -> None:
    source = cancelled_half_way(server)
    for way in ("retry", "fork"):
        quote = server.post(f"/v1/tasks/{source}:{way}?dry_run=true", {"from": ""}).json()
        assert (quote["reused"], quote["again"], quote["undecided"]) == ([], ["before", "answer"], [])


def test_a_fork_goes_on_from_an_edit_and_leaves_its_source_as_it_was(server: Server) -> None:
    source = cancelled_half_way(server)
    before = server.get(f"/v1/tasks/{source}/journal").content

    edits = {"outputs": {"answer": {"by": "hand"}}}
    assert server.post(f"/v1/tasks/{source}:fork?dry_run=true", edits).json()["edited"] == ["answer"]
    fork = server.post(f"/v1/tasks/{source}:fork", edits)
    assert (fork.status_code, fork.json()["forked_from"], fork.json()["retry_of"]) == (201, source, None)
    ended = server.ended(fork.json()["id"])
    assert {step["name"]: step["output"] for step in ended["subtasks"]}["answer"] == {"by": "hand"}
    assert ended["status"] == "done"

    other = server.post(f"/v1/tasks/{ended['id']}:fork", {"from": "after", "input": {"x": 1}}).json()
    steps = {step["name"]: step for step in server.ended(other["id"])["subtasks"]}
    assert steps["after"]["output"]["given"] == {"x": 1}
    assert (steps["before"]["reused"], steps["answer"]["reused"]) == (True, True)
    assert server.get(f"/v1/tasks/{source}/journal").content == before


def test_edits_that_do_not_fit_make_nothing(server: Server, idle: Server) -> None:
    source = cancelled_half_way(server)
    for body, pointer in (
        ({}, "/from"),
        ({"from": "nobody"}, "/from"),
        ({"from": "after", "input": []}, "/input"),
        ({"from": "answer", "input": {}}, "/input"),
        ({"outputs": {"nobody/here": 1}}, "/outputs/nobody~1here"),
    ):
        refused = problem(server.post(f"/v1/tasks/{source}:fork", body), 422)
        assert pointers(refused) == [pointer], body
    problem(server.request("POST", f"/v1/tasks/{source}:fork"), 415)
    problem(server.post(f"/v1/tasks/{source}:retry", {"from": "nobody"}), 422)
    for id_ in ("01a20908-d67f-76ae-969d-267b07477882", "no-uuid"):
        problem(idle.post(f"/v1/tasks/{id_}:fork", {"from": ""}), 404)


# --- submitting twice ---------------------------------------------------------------------------------------


def test_the_same_key_and_body_is_the_same_task(idle: Server) -> None:
    key, body = str(uuid.uuid4()), {"type": "agent:echo", "input": {"a": 1, "b": [2]}, "user_id": "k@x.org"}
    first = idle.post("/tasks", body, Idempotency_Key=key)
    again = idle.post("/tasks", {**body, "input": {"b": [2], "a": 1}}, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


def test_the_same_key_and_another_body_is_a_conflict(idle: Server) -> None:
    key, body = str(uuid.uuid4()), {"type": "agent:echo", "input": {"a": 1}, "user_id": "k@x.org"}
    first = idle.post("/tasks", body, Idempotency_Key=key).json()
    for other in (
        {**body, "input": {"a": 2}},
        {**body, "input": {"a": 1.0}},
        {**body, "type": "agent:scalar"},
        {**body, "user_id": "other@x.org"},
    ):
        assert problem(idle.post("/tasks", other, Idempotency_Key=key), 409)["error_code"] == "idempotency_mismatch"
    assert idle.post("/tasks", body, Idempotency_Key=key).json()["id"] == first["id"]


def test_the_paths_for_agents_and_tools_honour_the_key_too(idle: Server) -> None:
    key = str(uuid.uuid4())
    first = idle.post("/tasks/agent", {"agent_type": "echo", "input": {"a": 1}}, Idempotency_Key=key).json()
    again = idle.post("/tasks", {"type": "agent:echo", "input": {"a": 1}}, Idempotency_Key=key).json()
    assert first["id"] == again["id"]
    problem(
        idle.post("/tasks/tool", {"tool_name": "calculator", "input": {"expression": "1"}}, Idempotency_Key=key), 409
    )


def test_a_key_belongs_to_its_tenant(idle: Server) -> None:
    key = str(uuid.uuid4())
    ids = {
        idle.post("/tasks", {"type": "agent:echo", "tenant_id": tenant}, Idempotency_Key=key).json()["id"]
        for tenant in ("one", "two", None, "one")
    }
    assert len(ids) == 3


def test_of_twenty_who_submit_the_same_at_once_all_get_one_task(idle: Server) -> None:
    key = str(uuid.uuid4())

    def submit(n: int) -> tuple[int, str]:
        answer = requests.post(
            f"{idle.url}/tasks",
            json={"type": "agent:echo", "input": {"same": True}},
            headers={"Idempotency-Key": key},
            timeout=60,
        )
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(submit, range(20)))
    assert {code for code, _ in answers} == {201}
    assert len({id_ for _, id_ in answers}) == 1


def test_of_twenty_who_submit_different_things_under_one_key_one_succeeds(idle: Server) -> None:
    key = str(uuid.uuid4())

    def submit(n: int) -> int:
        return requests.post(
            f"{idle.url}/tasks",
            json={"type": "agent:echo", "input": {"n": n}},
            headers={"Idempotency-Key": key},
            timeout=60,
        ).status_code

    with ThreadPoolExecutor(20) as pool:
        codes = sorted(pool.map(submit, range(20)))
    assert codes == [201] + [409] * 19
