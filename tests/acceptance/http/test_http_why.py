"""`why`, of real tasks in every situation that a server with and without workers brings about."""

from pathlib import Path
from typing import Any

from .processes import Server, served, wait_for
from .shapes import demand, moment, optional, problem, text, uuid

WHY = {"task_id": uuid, "code": text, "sentence": text, "at": moment, "until": optional(moment)}


def why(server: Server, id_: str) -> dict[str, Any]:
    answer = server.get(f"/v1/tasks/{id_}/why")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    demand(found, WHY)
    return found


def test_a_pending_task_says_that_no_worker_serves_its_queue(idle: Server, server: Server) -> None:
    alone = why(idle, idle.submit("agent:echo")["id"])
    assert (alone["code"], alone["details"]["workers"]) == ("no_worker", 0)
    assert "none runs at all" in alone["sentence"]
    placed = server.post("/v1/tasks", {"type": "agent:echo", "input": {}, "queue": "egress"}).json()
    # The server's own worker may still be on its way.
    elsewhere = wait_for(lambda: (said := why(server, placed["id"])) and said["details"]["served"] and said)
    assert elsewhere["code"] == "no_worker"
    assert elsewhere["sentence"] == "No worker serves the queue 'egress': those that run serve 'default'."


def test_a_delayed_task_says_when_it_may_begin(idle: Server) -> None:
    body = {"type": "agent:echo", "input": {}, "run_at": "2090-01-01T00:00:00Z"}
    found = why(idle, idle.post("/v1/tasks", body).json()["id"])
    assert (found["code"], found["until"]) == ("delayed", "2090-01-01T00:00:00Z")


def test_a_task_behind_a_limit_names_it(server: Server) -> None:
    server.request("PUT", "/v1/limits", params={"tenant_id": "held", "key": "crm"}, json={"at_once": 0})
    body = {"type": "agent:echo", "input": {}, "tenant_id": "held", "concurrency_key": "crm"}
    id_ = server.post("/v1/tasks", body).json()["id"]
    found = wait_for(lambda: (said := why(server, id_)) and said["code"] == "limited" and said)
    assert "It waits for the limit `crm`: 0 of 0 running." in found["sentence"]
    server.request("DELETE", "/v1/limits", params={"tenant_id": "held", "key": "crm"})
    assert server.ended(id_)["status"] == "done"


def test_a_running_task_names_its_worker_and_its_step(server: Server, tmp_path: Path) -> None:
    id_ = server.submit("agent:patient", {"file": str(tmp_path / "go")})["id"]
    found = wait_for(lambda: (said := why(server, id_)) and said["code"] == "running" and said["steps"] and said)
    assert "Step 'patient' runs, attempt 1." in found["sentence"]
    (tmp_path / "go").touch()
    server.ended(id_)


def test_a_waiting_task_names_its_signal_and_until_when(server: Server) -> None:
    id_ = server.submit("workflow:told")["id"]
    server.until(id_, lambda now: now["status"] == "waiting")
    found = why(server, id_)
    assert (found["code"], found["steps"][0]["details"]) == ("waiting", {"signal": "go"})
    assert found["sentence"].startswith("It waits, and holds no worker. Step 'answer' waits for the signal 'go' until ")
    assert found["until"] == found["steps"][0]["until"] > found["at"]
    server.request("POST", f"/v1/tasks/{id_}:cancel")
    ended = why(server, id_)
    assert (ended["code"], "the request said 'on request'" in ended["sentence"]) == ("cancelled", True)


def test_a_task_that_ended_says_how(server: Server) -> None:
    done = server.ended(server.submit("agent:echo")["id"])
    assert why(server, done["id"])["code"] == "done"
    failed = why(server, server.ended(server.submit("agent:failing")["id"])["id"])
    assert failed["code"] == "failed"
    assert failed["sentence"].endswith("with the error `refused` in step 'failing': It does not want to.")


def test_a_worker_that_lacks_an_agent_leaves_its_task_and_says_which(folder: Path, new_database: Any) -> None:
    database = new_database()
    with served(folder / "lacking", database) as api:
        id_ = api.submit("agent:echo")["id"]
        (folder / "elsewhere").mkdir(exist_ok=True)
        with served(folder / "bare", database, worked=True, AGENTPLAT_PROJECT=str(folder / "elsewhere")):
            found = wait_for(lambda: (said := why(api, id_)) and said["code"] == "handed_back" and said)
    assert "this worker has no agent 'echo'" in found["sentence"]


def test_an_unknown_task_is_not_found(idle: Server) -> None:
    for id_ in ("01a20908-d67f-76ae-969d-267b07477882", "no-uuid"):
        problem(idle.get(f"/v1/tasks/{id_}/why"), 404)
