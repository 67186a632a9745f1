"""The compatible surface, from its tables: every method and path, every field, every type, every default."""

import hashlib
import hmac
from typing import Any

import pytest
import requests
from agentplat_migrations.connection import changing

from . import shapes
from .processes import IDENTITY_KEY, Server
from .shapes import demand, many, problem

ADA = "ada.lovelace@example.org"
PRICE = {"input": 2_000_000, "output": 8_000_000}  # of agentplat.toml: micro-USD per million tokens


def cost_of(costs: dict[str, Any]) -> float:
    micro: float = (costs["input_tokens"] * PRICE["input"] + costs["output_tokens"] * PRICE["output"]) / 1_000_000
    return round(micro) / 1_000_000


@pytest.fixture(scope="session")  # as the server: a process may run this module in two pieces
def research(server: Server) -> dict[str, Any]:
    """A finished task of the main workflow."""
    body = {"topic": "How does the fence refuse a write?"}
    return server.ended(server.submit("workflow:research_assessment", body, user_id=ADA, tenant_id="acme")["id"])


class TestSubmission:
    def test_a_submitted_task_is_pending_and_has_every_field(self, idle: Server) -> None:
        answer = idle.post("/tasks", {"type": "agent:echo", "input": {"a": 1}})

        assert answer.status_code == 201
        assert answer.headers["Content-Type"] == "application/json"
        task = answer.json()
        demand(task, shapes.TASK)
        assert task["type"] == "agent:echo"
        assert task["status"] == "pending"
        assert task["input"] == {"a": 1}
        assert [task[name] for name in ("output", "error", "user_id_hash", "model_used", "workflow_state")] == [
            None
        ] * 5
        assert (task["input_tokens"], task["output_tokens"], task["total_cost"]) == (0, 0, 0)
        assert task["tenant_id"] == "default"
        assert task["subtasks"] == []
        assert task["created_at"] == task["updated_at"]
        assert idle.task(task["id"]) == task

    def test_a_missing_input_is_an_empty_object(self, idle: Server) -> None:
        for path, body in (
            ("/tasks", {"type": "agent:echo"}),
            ("/tasks/agent", {"agent_type": "echo"}),
        ):
            assert idle.post(path, body).json()["input"] == {}

    def test_null_user_and_tenant_are_as_good_as_none(self, idle: Server) -> None:
        task = idle.submit("agent:echo", {}, user_id=None, tenant_id=None)
        assert (task["user_id_hash"], task["tenant_id"]) == (None, "default")

    def test_the_paths_for_agents_and_tools_make_the_same_tasks(self, idle: Server) -> None:
        agent = idle.post("/tasks/agent", {"agent_type": "echo", "input": {"b": [1, 2.5, None]}, "user_id": ADA})
        tool = idle.post("/tasks/tool", {"tool_name": "calculator", "input": {"expression": "6*7"}, "tenant_id": "t1"})

        assert (agent.status_code, tool.status_code) == (201, 201)
        demand(agent.json(), shapes.TASK)
        demand(tool.json(), shapes.TASK)
        assert (agent.json()["type"], tool.json()["type"]) == ("agent:echo", "tool:calculator")
        assert agent.json()["user_id_hash"] is not None
        assert tool.json()["tenant_id"] == "t1"

    def test_a_tenant_within_the_input_counts_like_the_field(self, idle: Server) -> None:
        assert idle.submit("agent:echo", {"tenant_id": "inner"})["tenant_id"] == "inner"
        assert idle.submit("agent:echo", {"tenant_id": "inner"}, tenant_id="outer")["tenant_id"] == "outer"

    def test_what_is_sent_comes_back_as_it_was(self, idle: Server) -> None:
        given = {
            "text": "ä 🙂 \u202e \\ \" ' % _ \n\t\x01 \ufffd",
            "empty": {"object": {}, "list": [], "text": "", "null": None},
            "numbers": [0, -1, 2**63, 10**299, 0.1, -2.5e-300, 1.5e300, 1e16, True, False],
            "": "an empty key",
            "nested": [[[{"a": [{}]}]]],
            "$ref": "#/x",
            "${{ input.text }}": "${{ steps.x }}",
        }
        task = idle.submit("agent:echo", given)
        assert idle.task(task["id"])["input"] == given

    def test_fields_that_nobody_knows_are_ignored(self, idle: Server) -> None:
        assert idle.post("/tasks", {"type": "agent:echo", "input": {}, "priority": "?", "extra": 1}).status_code == 201


class TestFinishedTasks:
    def test_the_main_workflow_is_polled_to_its_end(self, research: dict[str, Any]) -> None:
        demand(research, shapes.TASK)
        assert research["status"] == "done"
        assert research["error"] is None
        assert research["tenant_id"] == "acme"
        assert research["user_id_hash"] == hmac.new(IDENTITY_KEY.encode(), ADA.encode(), hashlib.sha256).hexdigest()
        assert research["updated_at"] > research["created_at"]

    def test_its_output_is_what_existing_clients_format(self, research: dict[str, Any]) -> None:
        output = research["output"]
        assert output["status"] in ("completed_converged", "completed_max_iterations")
        assert output["iterations"] == research["workflow_state"]["current_iteration"]
        findings, assessment = output["research_findings"], output["final_assessment"]
        demand(
            findings,
            {
                "findings": shapes.text,
                "sources": many(shapes.text),
                "key_insights": many(shapes.text),
                "confidence_level": lambda value: value in ("high", "medium", "low"),
                "potential_gaps": many(shapes.text),
            },
        )
        demand(
            assessment,
            {
                "approved": lambda value: isinstance(value, bool),
                "feedback": shapes.text,
                "strengths": many(shapes.text),
                "areas_for_improvement": many(shapes.text),
                "overall_quality": lambda value: value in ("excellent", "good", "fair", "poor"),
                "quality_score": lambda value: shapes.number(value) and 0 <= value <= 1,
            },
        )
        assert any("leases.md" in source for source in findings["sources"])

    def test_its_subtasks_are_the_executions_of_its_steps(self, server: Server, research: dict[str, Any]) -> None:
        subtasks, rounds = research["subtasks"], research["output"]["iterations"]
        assert [(s["agent_type"], s["iteration"]) for s in subtasks] == [
            (agent, n) for n in range(1, rounds + 1) for agent in ("research", "assessment")
        ]
        assert {s["status"] for s in subtasks} == {"done"}
        assert {s["parent_task_id"] for s in subtasks} == {research["id"]}
        assert len({s["id"] for s in subtasks}) == len(subtasks)
        assert subtasks[-2]["output"] == research["output"]["research_findings"]
        assert subtasks[-1]["output"] == research["output"]["final_assessment"]
        again = server.task(research["id"])
        assert [s["id"] for s in again["subtasks"]] == [s["id"] for s in subtasks]

    def test_its_workflow_state_has_the_outputs_by_step(self, server: Server, research: dict[str, Any]) -> None:
        state = research["workflow_state"]
        assert state["parent_task_id"] == research["id"]
        assert state["workflow_type"] == "research_assessment"
        assert state["current_state"] == "completed"
        assert state["max_iterations"] == 3
        assert state["tenant_id"] == "acme"
        assert state["state_data"] == {
            "conduct_research": research["output"]["research_findings"],
            "assess_quality": research["output"]["final_assessment"],
        }
        assert server.task(research["id"])["workflow_state"]["id"] == state["id"]

    def test_tokens_and_cost_are_sums_of_what_the_steps_used(self, research: dict[str, Any]) -> None:
        assert research["model_used"] == "offline:extractive"
        for field in ("input_tokens", "output_tokens"):
            assert research[field] == sum(s[field] for s in research["subtasks"])
        assert research["total_cost"] == pytest.approx(sum(s["total_cost"] for s in research["subtasks"]))
        assert research["subtasks"][0]["total_cost"] == pytest.approx(cost_of(research["subtasks"][0]), abs=2e-6)
        assert research["total_cost"] > 0

    def test_an_agent_task_has_its_output_and_no_workflow_state(self, server: Server) -> None:
        task = server.ended(server.submit("agent:summarizer", {"text": "A lease ends. A fence only grows."})["id"])
        demand(task, shapes.TASK)
        assert task["status"] == "done"
        demand(task["output"], {"summary": shapes.text, "key_points": many(shapes.text)})
        assert task["workflow_state"] is None

    def test_a_scalar_becomes_a_result(self, server: Server) -> None:
        task = server.ended(server.submit("agent:scalar")["id"])
        assert task["output"] == {"result": "just a text"}

    def test_a_scalar_of_a_step_becomes_a_result_too(self, server: Server) -> None:
        task = server.ended(server.submit("workflow:spoken")["id"])
        assert [s["output"] for s in task["subtasks"]] == [{"result": "just a text"}]

    def test_a_tool_task_has_its_output(self, server: Server) -> None:
        task = server.ended(server.submit("tool:calculator", {"expression": "6 * 7"})["id"])
        assert (task["status"], task["output"]) == ("done", {"result": 42})

    def test_a_failure_is_one_readable_sentence_and_a_code_for_programs(self, server: Server) -> None:
        task = server.ended(server.submit("agent:failing")["id"])
        demand(task, shapes.TASK)
        assert task["status"] == "error"
        assert task["output"] is None
        assert "It does not want to." in task["error"]
        assert task["failure"]["code"] == "refused"
        assert task["failure"]["details"] == {"why": "because"}

    def test_an_unknown_cost_is_null_and_never_zero(self, server: Server) -> None:
        task = server.ended(server.submit("agent:summarizer", {"text": "One. Two."}, user_id="priceless@x.org")["id"])
        with changing(server.database_url) as connection:
            prefix = "agentplat." if connection.dialect.name == "postgresql" else ""
            key = task["id"] if prefix else task["id"].replace("-", "")
            connection.exec_driver_sql(f"UPDATE {prefix}tasks SET cost = NULL WHERE id = '{key}'")

        assert server.task(task["id"])["total_cost"] is None
        usage = server.get(f"/admin/usage/{task['user_id_hash']}").json()
        assert (usage["total_cost"], usage["recent_tasks"][0]["cost"]) == (None, None)
        assert usage["unknown_cost_tasks"] == 1
        by_user = server.get(f"/tasks/costs/by-user/{task['user_id_hash']}").json()
        assert (by_user["total_tasks"], by_user["total_cost"]) == (1, None)
        assert server.get("/tasks/costs/summary").json()["unknown_cost_tasks"] >= 1


class TestLists:
    def test_a_list_has_the_same_shape_newest_first(self, server: Server, research: dict[str, Any]) -> None:
        newer = server.submit("agent:echo", {"n": 1})
        found = server.get("/tasks").json()
        for task in found:
            demand(task, shapes.TASK)
        ids = [task["id"] for task in found]
        assert ids.index(newer["id"]) < ids.index(research["id"])

    def test_it_is_filtered_by_each_of_its_parameters(self, server: Server, research: dict[str, Any]) -> None:
        for parameters in (
            {"status_filter": "done"},
            {"user_id_hash": research["user_id_hash"]},
            {"tenant_id": "acme"},
            {"type": "workflow:research_assessment"},
            {"q": "refuse fence"},
            {"status_filter": "done", "tenant_id": "acme", "limit": 1000},
        ):
            found = server.get("/tasks", **parameters).json()
            assert research["id"] in [task["id"] for task in found], parameters
        assert all(task["status"] == "done" for task in server.get("/tasks", status_filter="done").json())
        assert server.get("/tasks", tenant_id="acme", type="agent:echo").json() == []


class TestCosts:
    def test_a_users_costs_are_sums(self, server: Server, research: dict[str, Any]) -> None:
        costs = server.get(f"/tasks/costs/by-user/{research['user_id_hash']}").json()
        demand(costs, shapes.USER_COSTS)
        assert costs["total_tasks"] == 1
        assert costs["total_input_tokens"] == research["input_tokens"]
        assert costs["total_output_tokens"] == research["output_tokens"]
        assert costs["total_cost"] == pytest.approx(research["total_cost"])

    def test_a_hash_that_nobody_has_is_answered_with_zeros_and_the_reason(self, server: Server) -> None:
        costs = server.get(f"/tasks/costs/by-user/{hashlib.sha256(ADA.encode()).hexdigest()}").json()
        demand(costs, shapes.USER_COSTS)
        assert (costs["total_tasks"], costs["total_cost"]) == (0, 0)
        assert "identity.hash" in costs["note"]

    def test_the_summary_is_over_everybody(self, server: Server, research: dict[str, Any]) -> None:
        summary = server.get("/tasks/costs/summary").json()
        demand(summary, shapes.ALL_COSTS)
        assert summary["unique_users"] >= 1
        assert summary["total_cost"] >= research["total_cost"]
        known = summary["total_tasks"] - summary["unknown_cost_tasks"]
        assert summary["avg_cost_per_task"] == pytest.approx(summary["total_cost"] / known)

    def test_usage_has_the_sums_and_the_recent_tasks(self, server: Server, research: dict[str, Any]) -> None:
        usage = server.get(f"/admin/usage/{research['user_id_hash']}").json()
        demand(usage, shapes.USAGE)
        assert usage["user_id_hash"] == research["user_id_hash"]
        assert usage["recent_tasks"] == [
            {name: research[name] for name in ("id", "type", "status", "created_at")}
            | {"cost": pytest.approx(research["total_cost"])}
        ]


class TestRegistries:
    def test_agents_are_listed(self, server: Server) -> None:
        found = server.get("/admin/agents").json()
        demand(found, shapes.AGENTS)
        agents = {agent["name"]: agent for agent in found["agents"]}
        assert {"research", "assessment", "summarizer", "echo"} <= set(agents)
        assert "document_search" in agents["research"]["tools"]

    def test_tools_are_listed_with_the_schema_of_their_parameters(self, server: Server) -> None:
        found = server.get("/admin/tools").json()
        demand(found, shapes.TOOLS)
        tools = {tool["name"]: tool["schema"] for tool in found["tools"]}
        assert {"calculator", "document_search", "web_search", "join"} <= set(tools)
        assert tools["calculator"]["required"] == ["expression"]
        assert tools["join"]["required"] == ["left", "right"]
        assert all(schema["type"] == "object" and schema["properties"] for schema in tools.values())

    def test_workflows_are_listed_with_their_steps(self, server: Server) -> None:
        found = server.get("/admin/workflows").json()
        demand(found, shapes.WORKFLOWS)
        workflows = {workflow["name"]: workflow for workflow in found["workflows"]}
        assert {"research_assessment", "simple_sequential", "content_review", "counted"} <= set(workflows)
        main = workflows["research_assessment"]
        assert (main["strategy"], main["max_iterations"]) == ("iterative_refinement", 3)
        assert [(s["name"], s["agent_type"]) for s in main["steps"]] == [
            ("conduct_research", "research"),
            ("assess_quality", "assessment"),
        ]
        assert "document_search" in main["steps"][0]["tools"]
        assert "nobody" in workflows["broken"]["fault"]

    def test_plugins_are_listed_with_their_state(self, server: Server) -> None:
        plugins = {plugin["name"]: plugin for plugin in server.get("/v1/plugins").json()}
        assert plugins["interface-rest"]["state"] == "active"
        assert plugins["agents/scripted.py"]["offers"]["agents"][0] == "echo"


class TestOperations:
    def test_health_says_that_all_is_well(self, server: Server) -> None:
        answer = server.get("/health")
        assert answer.status_code == 200
        demand(answer.json(), shapes.HEALTH)
        assert answer.json() == {"status": "healthy", "database": "connected", "websocket_connections": 0}

    def test_metrics_are_prometheus_text(self, server: Server) -> None:
        server.submit("agent:echo")
        answer = server.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        [line] = [line for line in answer.text.splitlines() if 'agentplat_tasks_submitted_total{type="agent"}' in line]
        assert float(line.split()[-1]) >= 1

    def test_a_task_that_nobody_knows_is_not_found(self, server: Server) -> None:
        for unknown in ("01a20908-d67f-76ae-969d-267b07477882", "7", "no-uuid", "%00", "%F0%9F%99%82", "a" * 3000):
            problem(server.get(f"/tasks/{unknown}"), 404, "There is no task")

    def test_the_journal_shows_what_happened(self, server: Server, research: dict[str, Any]) -> None:
        events = server.get(f"/v1/tasks/{research['id']}/journal").json()
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[0]["kind"] == "task_submitted"
        assert server.get(f"/v1/tasks/{research['id']}/journal", after=len(events)).json() == []


def test_the_surface_is_served_to_the_names_of_this_machine_only(server: Server) -> None:
    port = server.address[1]
    assert requests.get(f"http://localhost:{port}/health", timeout=30).status_code == 200
