"""What an analysis says of workflows and tasks over HTTP, and that whoever writes one is told all its faults."""

import shutil
from collections.abc import Callable, Iterator
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest

from .processes import PROJECT, Server, served
from .shapes import pointers, problem

FAULTY = """name: faulty
strategy: sequential
input: {topic: string}
steps:
  - {name: join, tool: join, input: {left: "${{ input.topics }}"}}
  - {name: count, agent: exact, input: {times: many}}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Server]:
    """An API without agentplat-analysis and agentplat-testkit."""
    folder = tmp_path_factory.mktemp("bare")
    project = shutil.copytree(PROJECT, folder / "project of bare")
    url = new_database()
    with served(
        folder / "bare", url, AGENTPLAT_PROJECT=str(project), AGENTPLAT_PLUGINS_DENY="analysis,testkit"
    ) as server:
        yield server


def test_a_workflow_and_a_task_are_drawn_and_bounded(idle: Server) -> None:
    drawn = idle.get("/v1/workflows/asking/graph")
    assert (drawn.status_code, drawn.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert drawn.text.startswith("flowchart TD\n")
    assert "sign_off" in drawn.text
    picture = idle.get("/v1/workflows/asking/graph", drawn="svg")
    assert picture.headers["Content-Type"].startswith("image/svg+xml")
    assert ET.fromstring(picture.text).tag.endswith("svg")
    bounds = idle.get("/v1/workflows/told/bounds").json()
    assert (bounds["workflow"], bounds["file"], bounds["bounds"]["executions"]["most"]) == ("told", "told.yaml", 3)

    task = idle.submit("workflow:told")["id"]
    assert idle.get(f"/v1/tasks/{task}/graph").text == idle.get("/v1/workflows/told/graph").text
    assert idle.get(f"/v1/tasks/{task}/graph", drawn="svg").headers["Content-Type"].startswith("image/svg+xml")
    given = idle.get(f"/v1/tasks/{task}/bounds").json()
    assert (given["workflow"], given["file"]) == ("told", None)
    assert given["bounds"]["executions"] == bounds["bounds"]["executions"]
    places = [[cause["place"] for cause in each["bounds"]["tokens"]["causes"]] for each in (bounds, given)]
    assert places[0]
    assert all(place.startswith("told.yaml:") for place in places[0])
    assert places[1] == [None] * len(places[0])
    assert "echo" in idle.get(f"/v1/tasks/{idle.submit('agent:echo')['id']}/graph").text


def test_a_task_is_drawn_as_it_was_given_whatever_the_file_says_by_now(idle: Server) -> None:
    text = "name: drawn\nsteps:\n  - {name: early, agent: echo}\n"
    file = idle.request("PUT", "/v1/workflows/drawn", json={"text": text}).json()
    task = idle.submit("workflow:drawn")["id"]
    newer = {"text": text.replace("early", "later")}
    idle.request("PUT", "/v1/workflows/drawn", json=newer, headers={"If-Match": file["etag"]})
    assert "later" in idle.get("/v1/workflows/drawn/graph").text
    assert "early" in idle.get(f"/v1/tasks/{task}/graph").text


def test_the_schema_of_workflow_files_knows_what_is_installed(idle: Server) -> None:
    answer = idle.get("/v1/schema/workflow.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/schema+json")
    validator = jsonschema_rs.validator_for(answer.json())
    assert validator.is_valid({"name": "fine", "steps": [{"name": "one", "agent": "echo"}]})
    assert not validator.is_valid({"name": "fine", "steps": [{"name": "one", "agent": "ecko"}]})


def test_whoever_checks_or_puts_a_workflow_is_told_what_the_schemas_tell_too(idle: Server) -> None:
    checked = idle.post("/v1/workflows:validate", {"text": FAULTY}).json()
    assert checked["valid"] is False
    found = [(fault["line"], fault["code"]) for fault in checked["diagnostics"]]
    assert found == [(5, "invalid_input"), (5, "unknown_value"), (6, "invalid_input")]
    refused = problem(idle.request("PUT", "/v1/workflows/faulty", json={"text": FAULTY}), 422, "faulty.yaml:5:")
    assert refused["error_code"] == "workflow_invalid"
    problem(idle.get("/v1/workflows/faulty"), 404)


def test_what_is_not_there_cannot_be_analysed(idle: Server) -> None:
    for what in ("graph", "bounds"):
        problem(idle.get(f"/v1/workflows/nobody/{what}"), 404)
        problem(idle.get(f"/v1/tasks/01a20908-d67f-76ae-969d-267b07477882/{what}"), 404)
        problem(idle.get(f"/v1/tasks/no-uuid/{what}"), 404)
        assert problem(idle.get(f"/v1/workflows/broken/{what}"), 422)["error_code"] == "workflow_invalid"
    problem(idle.get("/v1/workflows/told/graph", drawn="painted"), 422)


def test_a_workflow_is_played_and_no_task_is_made(idle: Server) -> None:
    path, before = "/v1/workflows/told:simulate", idle.get("/tasks").json()
    played = idle.post(path, {"input": {"topic": "tea"}, "outputs": {"before": {"said": "x"}}}).json()
    assert (played["workflow"], played["status"], played["steps"]) == ("told", "done", 3)
    assert [event["event"] for event in played["events"]][:2] == ["task_submitted", "task_claimed"]
    done = {event["path"]: event for event in played["events"] if event["event"] == "step_succeeded"}
    assert (done["before"]["output"], done["before"]["at"], played["seconds"]) == ({"said": "x"}, 1.0, 3.0)
    assert (
        idle.post(path, {"input": {"topic": "tea"}}).json()["output"]
        == idle.post(path, {"input": {"topic": "tea"}}).json()["output"]
    )
    failed = idle.post(path, {"fail": ["after=refused"], "crash": [0.5]}).json()
    assert (failed["status"], failed["failure"]["code"]) == ("error", "refused")
    assert sum(event["event"] == "task_claimed" for event in failed["events"]) == 2
    assert idle.request("POST", path).json()["status"] == "done"
    seeds = [idle.post(path, {"seed": seed}).json()["seconds"] for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert idle.get("/tasks").json() == before


def test_what_cannot_be_played_is_refused_with_every_fault(idle: Server) -> None:
    path = "/v1/workflows/told:simulate"
    refused = problem(idle.post(path, {"outputs": {"bfore": 1}, "fail": ["aftr=refused"]}), 422)
    assert pointers(refused) == ["/outputs/bfore", "/fail"]
    assert "did you mean `before`?" in refused["detail"]
    wrong = {"fail": ["after", "after=slow", "after=refused:99999"]}
    assert pointers(problem(idle.post(path, wrong), 422)) == ["/fail/0", "/fail/1", "/fail/2"]
    for field, value in (("crash", [-1]), ("crash", ["1"]), ("seed", "x"), ("outputs", [1]), ("input", 1)):
        assert pointers(problem(idle.post(path, {field: value}), 422))[0].startswith(f"/{field}")
    problem(idle.post("/v1/workflows/nobody:simulate", {}), 404)
    assert problem(idle.post("/v1/workflows/broken:simulate", {}), 422)["error_code"] == "workflow_invalid"


def test_without_the_testkit_the_answer_says_what_to_install(bare: Server) -> None:
    missing = problem(bare.post("/v1/workflows/told:simulate", {}), 501, "Install agentplat-testkit")
    assert missing["error_code"] == "not_installed"


def test_without_the_analysis_the_answer_says_what_to_install(bare: Server) -> None:
    task = bare.submit("workflow:told")["id"]
    for path in ("schema/workflow.json", "workflows/told/graph", "workflows/told/bounds", f"tasks/{task}/graph"):
        assert problem(bare.get(f"/v1/{path}"), 501, "Install agentplat-analysis")["error_code"] == "not_installed"
    # What the compiler says is said all the same.
    assert bare.post("/v1/workflows:validate", {"text": FAULTY}).json() == {"valid": True, "diagnostics": []}
    broken = FAULTY.replace("agent: exact", "agent: exakt")
    [fault] = bare.post("/v1/workflows:validate", {"text": broken}).json()["diagnostics"]
    assert fault["code"] == "unknown_agent"
