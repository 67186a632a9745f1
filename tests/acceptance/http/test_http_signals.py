"""Telling a task what it waits for: before the wait, during it, twice, too late, and to the wrong task."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from .processes import Server
from .shapes import pointers, problem


def waiting(server: Server, **more: str) -> str:
    """A task that waits for the signal `go`."""
    task = server.submit("workflow:told", {"topic": "tea"}, **more)
    return str(server.until(task["id"], lambda now: now["status"] == "waiting")["id"])


def answer_of(task: dict[str, object]) -> object:
    [step] = [step for step in task["subtasks"] if step["name"] == "answer"]  # type: ignore[attr-defined]
    return step["output"]


def test_a_signal_ends_the_wait_and_is_its_output(server: Server) -> None:
    id_ = waiting(server)
    answer = server.post(f"/v1/tasks/{id_}:signal", {"name": "go", "payload": {"said": ["yes", 1, None]}})
    assert answer.status_code == 200
    assert {**answer.json(), "key": ""} == {"task_id": id_, "name": "go", "key": "", "created": True}
    task = server.ended(id_)
    assert (task["status"], answer_of(task)) == ("done", {"said": ["yes", 1, None]})


def test_a_signal_that_comes_before_its_wait_is_not_lost(server: Server, idle: Server) -> None:
    task = server.submit("workflow:late", {"seconds": 0.5})
    assert server.post(f"/v1/tasks/{task['id']}:signal", {"name": "go", "payload": {"early": True}}).json()["created"]
    ended = server.ended(task["id"])
    assert (ended["status"], answer_of(ended)) == ("done", {"early": True})
    kinds = [event["kind"] for event in server.get(f"/v1/tasks/{task['id']}/journal").json()]
    assert kinds.index("signal_received") < [n for n, kind in enumerate(kinds) if kind == "wait_started"][1]
    # And before anybody has looked at the task at all.
    pending = idle.submit("workflow:told", {})["id"]
    assert idle.post(f"/v1/tasks/{pending}:signal", {"name": "go"}).status_code == 200


def test_of_several_signals_of_one_key_the_first_stays(server: Server) -> None:
    id_ = waiting(server)
    said = [
        server.post(f"/v1/tasks/{id_}:signal", {"name": "other", "payload": n}, Idempotency_Key="k").json()
        for n in (1, 2)
    ]
    said.append(server.post(f"/v1/tasks/{id_}:signal", {"name": "other", "payload": 3, "key": "k"}).json())
    assert [answer["created"] for answer in said] == [True, False, False]
    assert {answer["key"] for answer in said} == {"k"}
    assert server.post(f"/v1/tasks/{id_}:signal", {"name": "go"}).json()["created"]
    server.ended(id_)
    events = server.get(f"/v1/tasks/{id_}/journal").json()
    others = [
        e["content"]["payload"] for e in events if e["kind"] == "signal_received" and e["content"]["name"] != "go"
    ]
    assert others == [1]


def test_of_twenty_who_send_one_signal_at_once_one_is_first(server: Server) -> None:
    id_, key = waiting(server), str(uuid.uuid4())

    def send(n: int) -> bool:
        body = {"name": "unheard", "payload": n, "key": key}
        return bool(server.post(f"/v1/tasks/{id_}:signal", body).json()["created"])

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(send, range(20))) == [False] * 19 + [True]


def test_a_key_belongs_to_its_task_and_a_signal_reaches_no_other(server: Server) -> None:
    one, other = waiting(server, tenant_id="one"), waiting(server, tenant_id="other")
    assert server.post(f"/v1/tasks/{one}:signal", {"name": "go", "payload": 1, "key": "same"}).json()["created"]
    assert server.ended(one)["status"] == "done"
    assert server.task(other)["status"] == "waiting"
    assert server.post(f"/v1/tasks/{other}:signal", {"name": "go", "payload": 2, "key": "same"}).json()["created"]
    assert server.ended(other)["tenant_id"] == "other"


def test_a_task_that_is_over_hears_nothing_any_more(server: Server) -> None:
    task = server.ended(server.submit("agent:echo", {})["id"])
    before = server.get(f"/v1/tasks/{task['id']}/journal").json()
    refused = problem(server.post(f"/v1/tasks/{task['id']}:signal", {"name": "go"}), 409)
    assert "is over (done)" in refused["detail"]
    assert server.get(f"/v1/tasks/{task['id']}/journal").json() == before


def test_an_unknown_task_is_not_found(idle: Server) -> None:
    for id_ in ("01a20908-d67f-76ae-969d-267b07477882", "no-uuid"):
        problem(idle.post(f"/v1/tasks/{id_}:signal", {"name": "go"}), 404)


def test_a_signal_that_does_not_fit_changes_nothing(idle: Server) -> None:
    id_ = idle.submit("workflow:told", {})["id"]
    path = f"/v1/tasks/{id_}:signal"
    for body, pointer in (
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a\x00"}, "/name"),
        ({"name": "go", "payload": "\ud800"}, "/payload"),
        ({"name": "go", "payload": {"a": ["\x00"]}}, "/payload/a/0"),
        ({"name": "go", "key": ""}, "/key"),
    ):
        assert pointers(problem(idle.post(path, body), 422)) == [pointer], body
    problem(idle.send(b"{", path), 422)
    problem(idle.request("POST", path, data=b"name=go"), 415)
    assert [event["kind"] for event in idle.get(f"/v1/tasks/{id_}/journal").json()] == ["task_submitted"]
