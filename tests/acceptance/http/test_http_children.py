"""Tasks that are steps of others, over HTTP."""

from . import shapes
from .processes import Server
from .shapes import demand


def test_a_task_shows_its_children_and_they_show_whose_they_are(server: Server) -> None:
    task = server.post("/tasks", {"type": "workflow:calling", "input": {"topic": "tea"}}).json()
    ended = server.ended(task["id"])
    assert (ended["status"], ended["parent"], ended["parent_step"]) == ("done", None, None)
    [child] = server.get("/tasks", parent=task["id"]).json()
    demand(child, shapes.TASK)
    assert (child["type"], child["parent"], child["parent_step"]) == ("agent:echo", task["id"], "hurried")
    assert [step["child"] for step in ended["subtasks"]] == [child["id"]]
    assert server.get("/tasks", parent=child["id"]).json() == []


def test_a_parent_has_to_be_an_id(server: Server) -> None:
    assert server.get("/tasks", parent="no id").status_code == 422
