"""What tasks ask people: listed, answered once, by forms that are checked, in time or not."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .processes import Server
from .shapes import pointers, problem


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid.uuid4()}"


def asking(server: Server, tenant: str, topic: str = "tea") -> str:
    task = server.submit("workflow:asking", {"topic": topic}, tenant_id=tenant)
    return str(server.until(task["id"], lambda now: now["status"] == "waiting")["id"])


def asked(server: Server, tenant: str, **wanted: Any) -> list[dict[str, Any]]:
    answer = server.get("/v1/approvals", tenant_id=tenant, **wanted)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def test_a_task_asks_waits_and_goes_on_with_the_answer(server: Server, tenant: str) -> None:
    id_ = asking(server, tenant)
    [approval] = asked(server, tenant)
    assert (approval["task_id"], approval["step"], approval["message"]) == (id_, "sign_off", "Publish tea?")
    assert approval["assignee"] == "role:editor"
    assert set(approval["form"]["properties"]) == {"comment", "stars"}
    assert approval["until"] > approval["since"]
    why = server.get(f"/v1/tasks/{id_}/why").json()
    assert why["steps"][0]["code"] == "approval"
    assert "waits for an approval of role:editor until" in why["sentence"]

    body = {"answers": {"comment": "Good."}, "user_id": "Ada@example.org"}
    assert server.post(f"/v1/tasks/{id_}:approve", body).status_code == 200
    task = server.until(id_, lambda now: len(now["subtasks"]) == 2)
    output = task["subtasks"][0]["output"]
    assert (output["approved"], output["comment"], output["stars"]) == (True, "Good.", 3)
    journal = server.get(f"/v1/tasks/{id_}/journal").text
    assert "ada@example.org" not in journal.lower()
    assert len(output["by"]) == 64

    server.until(id_, lambda now: now["status"] == "waiting")
    assert [approval["step"] for approval in asked(server, tenant)] == ["sure"]
    assert server.request("POST", f"/v1/tasks/{id_}:reject").status_code == 200
    ended = server.ended(id_)
    assert ended["subtasks"][1]["output"]["approved"] is False
    assert asked(server, tenant) == []


def test_of_twenty_who_answer_at_once_the_first_one_counts(server: Server, tenant: str) -> None:
    id_ = asking(server, tenant)

    def answer(n: int) -> int:
        verb = "approve" if n % 2 else "reject"
        body = {"step": "sign_off", "answers": {"comment": str(n)}}
        return server.post(f"/v1/tasks/{id_}:{verb}", body).status_code

    with ThreadPoolExecutor(20) as pool:
        codes = sorted(pool.map(answer, range(20)))
    assert codes == [200] + [409] * 19
    kinds = [event["kind"] for event in server.get(f"/v1/tasks/{id_}/journal").json()]
    server.until(id_, lambda now: now["subtasks"][0]["status"] == "done")
    kinds = [event["kind"] for event in server.get(f"/v1/tasks/{id_}/journal").json()]
    assert kinds.count("approval_answered") == 1


def test_answers_that_do_not_fit_the_form_say_where(server: Server, tenant: str) -> None:
    id_ = asking(server, tenant)
    for answers, pointer in (
        ({}, "/answers/comment"),
        ({"comment": 1}, "/answers/comment"),
        ({"comment": "x", "stars": 0}, "/answers/stars"),
        ({"comment": "x", "approved": False}, "/answers/approved"),
    ):
        refused = problem(server.post(f"/v1/tasks/{id_}:approve", {"answers": answers}), 422)
        assert pointer in pointers(refused), (answers, refused)
    assert [approval["step"] for approval in asked(server, tenant)] == ["sign_off"]
    # Whoever says no need not fill it in.
    assert server.post(f"/v1/tasks/{id_}:reject", {}).status_code == 200
    assert server.ended(id_)["subtasks"][0]["output"]["approved"] is False


def test_an_approval_that_is_not_open_cannot_be_answered(server: Server, idle: Server, tenant: str) -> None:
    id_ = asking(server, tenant)
    wrong = problem(server.post(f"/v1/tasks/{id_}:approve", {"step": "sure"}), 409)
    assert "Open are 'sign_off'." in wrong["detail"]
    done = server.ended(server.submit("agent:echo")["id"])["id"]
    problem(server.post(f"/v1/tasks/{done}:approve", {}), 409)
    for unknown in ("01a20908-d67f-76ae-969d-267b07477882", "no-uuid"):
        problem(idle.post(f"/v1/tasks/{unknown}:approve", {}), 404)
    problem(server.post(f"/v1/tasks/{id_}:signal", {"name": "@approval/sign_off", "payload": {"approved": True}}), 422)


def test_one_that_nobody_answers_in_time_ends_as_the_workflow_says(server: Server) -> None:
    ended = server.ended(server.submit("workflow:hasty")["id"])
    assert ended["subtasks"][0]["output"] == {"approved": True, "by": None}
    problem(server.post(f"/v1/tasks/{ended['id']}:reject", {}), 409)


def test_open_approvals_are_listed_by_tenant_and_assignee_page_by_page(server: Server, tenant: str) -> None:
    ids = [asking(server, tenant, f"topic {n}") for n in range(3)]
    assert [approval["task_id"] for approval in asked(server, tenant)] == list(reversed(ids))
    assert asked(server, tenant, assignee="role:nobody") == []
    assert len(asked(server, tenant, assignee="role:editor")) == 3
    first = server.get("/v1/approvals", tenant_id=tenant, limit=2)
    assert [approval["message"] for approval in first.json()] == ["Publish topic 2?", "Publish topic 1?"]
    link = first.headers["Link"]
    rest = server.request("GET", link[1 : link.index(">")]).json()
    assert [approval["task_id"] for approval in rest] == ids[:1]
