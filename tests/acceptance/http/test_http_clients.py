"""A client as there are many: it knows `requests`, the paths and the fields, and nothing of agentplat."""

import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from psycopg import sql

from agentplat.store.address import Address

from .conftest import NewDatabase
from .processes import IDENTITY_KEY, Server, served

ADDRESS = "Grace.Hopper+nav@Example.ORG"
NORMAL = ADDRESS.lower()
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


class ToolsOfOpenWebUI:
    """Posts a task, polls it to its end, and formats what comes back."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[str] = []

    def _said(self, answer: requests.Response) -> requests.Response:
        self.seen.append(f"{answer.headers} {answer.text}")
        return answer

    def _polled(self, answer: requests.Response) -> dict[str, Any]:
        if self._said(answer).status_code != 201:
            return {"refused": answer.json()["detail"]}
        task: dict[str, Any] = answer.json()
        for _ in range(600):
            task = self._said(requests.get(f"{self.url}/tasks/{task['id']}", timeout=30)).json()
            if task["status"] in ("done", "error"):
                return task
            time.sleep(0.1)
        raise AssertionError(f"{task['id']} is {task['status']}")

    def context(self) -> dict[str, Any]:
        return {
            "_trace_context": {
                "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01",
                "trace_id": TRACE_ID,
                "parent_span_id": SPAN_ID,
                "root_operation": f"chat of {ADDRESS}",
            },
            "_debug_user_context": {"email": ADDRESS, "name": "Grace Hopper", "role": "admin"},
        }

    def workflow(self, name: str, topic: str, user: str | None, tenant: str | None) -> dict[str, Any]:
        body = {
            "type": f"workflow:{name}",
            "input": {"topic": topic, **self.context()},
            "user_id": user,
            "tenant_id": tenant,
        }
        return self._polled(requests.post(f"{self.url}/tasks", json=body, timeout=30))

    def agent(self, name: str, text: str, user: str | None) -> dict[str, Any]:
        body = {"agent_type": name, "input": {"description": text}, "user_id": user}
        return self._polled(requests.post(f"{self.url}/tasks/agent", json=body, timeout=30))

    def tool(self, name: str, words: str) -> dict[str, Any]:
        """The user's words go under the one required parameter; with several of them they have to be JSON."""
        tools = self._said(requests.get(f"{self.url}/admin/tools", timeout=30)).json()["tools"]
        required = next((tool["schema"].get("required", []) for tool in tools if tool["name"] == name), ["input"])
        given = {required[0]: words} if len(required) == 1 else json.loads(words)
        body = {"tool_name": name, "input": given}
        return self._polled(requests.post(f"{self.url}/tasks/tool", json=body, timeout=30))


def formatted(task: Mapping[str, Any]) -> str:
    """What the user reads of an agent's or tool's task."""
    if "refused" in task:
        return str(task["refused"])
    if task["status"] == "error":
        return f"Failed: {task['error']}"
    output = task["output"]
    found = next((output[name] for name in ("result", "response", "content") if name in output), output)
    return found if isinstance(found, str) else json.dumps(found)


def report(task: Mapping[str, Any]) -> str:
    """What the user reads of a research workflow."""
    output = task["output"]
    findings, assessment = output["research_findings"], output["final_assessment"]
    return "\n".join(
        [
            f"{output['status']} after {output['iterations']} iterations",
            findings["findings"],
            *(f"- {insight}" for insight in findings["key_insights"]),
            *(f"Source: {source}" for source in findings["sources"]),
            f"Confidence: {findings['confidence_level'].upper()}",
            *(f"Gap: {gap}" for gap in findings["potential_gaps"]),
            f"Quality: {assessment['overall_quality'].title()} ({assessment['quality_score']:.2f})",
            f"Approved: {'yes' if assessment['approved'] else 'no'}. {assessment['feedback']}",
            *(f"+ {strength}" for strength in assessment["strengths"]),
            *(f"! {area}" for area in assessment["areas_for_improvement"]),
            f"{task['input_tokens'] + task['output_tokens']:,} tokens, ${task['total_cost']:.6f}",
            f"Trace: {task['generation_id']}",
        ]
    )


@pytest.fixture
def client(server: Server) -> ToolsOfOpenWebUI:
    return ToolsOfOpenWebUI(server.url)


def test_a_workflow_is_run_and_its_report_is_formatted(client: ToolsOfOpenWebUI) -> None:
    task = client.workflow("research_assessment", "How does the fence refuse a write?", ADDRESS, "navy")

    text = report(task)
    assert "fence" in text
    assert "Source: leases.md" in text
    assert f"Trace: {TRACE_ID}" in text
    assert task["tenant_id"] == "navy"
    assert task["generation_id"] == TRACE_ID


def test_every_stock_agent_takes_free_text_under_description(client: ToolsOfOpenWebUI) -> None:
    for agent, field in (("research", "findings"), ("assessment", "feedback"), ("summarizer", "summary")):
        task = client.agent(agent, "A write that carries an older fence is refused.", None)
        assert task["status"] == "done", task
        assert field in json.loads(formatted(task))


def test_a_tool_gets_the_words_under_its_one_required_parameter(client: ToolsOfOpenWebUI) -> None:
    assert formatted(client.tool("calculator", "(17 + 3) * 2")) == "40"
    assert "leases.md" in formatted(client.tool("document_search", "fence"))


def test_a_tool_with_several_parameters_gets_parsed_json(client: ToolsOfOpenWebUI) -> None:
    assert formatted(client.tool("join", '{"left": "a", "right": "b"}')) == "a b"


def test_unknown_names_are_answered_with_the_words_that_clients_look_for(client: ToolsOfOpenWebUI) -> None:
    agent = client.agent("sumarizer", "x", None)["refused"]
    assert agent.startswith("Agent 'sumarizer' not found")
    assert all(name in agent for name in ("research", "assessment", "summarizer"))
    tool = client.tool("abacus", "x")["refused"]
    assert tool.startswith("Tool 'abacus' not found")
    assert all(name in tool for name in ("calculator", "document_search", "web_search"))


def test_a_failed_task_is_told_in_one_sentence(client: ToolsOfOpenWebUI) -> None:
    assert formatted(client.agent("failing", "x", None)).startswith("Failed: ")


def test_anonymous_users_have_no_hash(client: ToolsOfOpenWebUI) -> None:
    for user in ("anonymous", " Anonymous ", "", "  ", None):
        assert client.agent("echo", "x", user)["user_id_hash"] is None


# --- the trace ----------------------------------------------------------------------------------------------


def test_the_trace_is_continued_from_each_of_its_forms(idle: Server) -> None:
    parent = f"00-{TRACE_ID}-{SPAN_ID}-01"
    other = "a" * 32
    forms: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"_trace_context": {"traceparent": parent}}, {}),
        ({"_trace_context": {"trace_id": TRACE_ID, "parent_span_id": SPAN_ID}}, {}),
        ({"_trace_context": {"trace_id": TRACE_ID.upper(), "span_id": SPAN_ID}}, {}),
        ({"_trace_context": {"trace_id": TRACE_ID}}, {}),
        ({"_trace_context": {"traceparent": "broken", "trace_id": TRACE_ID}}, {}),
        ({}, {"traceparent": parent}),
        ({"_trace_context": {"trace_id": other}}, {"traceparent": parent}),
    ]
    for given, headers in forms:
        answer = idle.post("/tasks", {"type": "agent:echo", "input": {**given, "seen": 1}}, **headers)
        task = answer.json()
        assert (answer.status_code, task["generation_id"]) == (201, TRACE_ID), (given, headers)
        assert task["input"] == {"seen": 1}


def test_a_malformed_trace_starts_a_new_one(idle: Server) -> None:
    malformed: list[Any] = [
        None,
        "text",
        7,
        [],
        {"trace_id": "g" * 32},
        {"trace_id": "0" * 32},
        {"trace_id": 5},
        {"traceparent": f"00-{'0' * 32}-{SPAN_ID}-01"},
        {"traceparent": f"00-{TRACE_ID}-{'0' * 16}-01"},
        {"traceparent": {"a": 1}},
    ]
    for context in malformed:
        task = idle.submit("agent:echo", {"_trace_context": context})
        assert task["generation_id"] != TRACE_ID
        assert int(task["generation_id"], 16) > 0
        assert task["input"] == {}
    answer = idle.post("/tasks", {"type": "agent:echo"}, traceparent="x" * 5000)
    assert answer.status_code == 201


# --- privacy ------------------------------------------------------------------------------------------------


def test_private_keys_never_reach_an_agent_and_are_not_echoed(server: Server) -> None:
    given = {"topic": "t", "_debug_user_context": {"a": 1}, "_": 0, "__proto__": 1, "_trace_context": {}}
    task = server.ended(server.submit("agent:echo", given)["id"])
    assert task["input"] == {"topic": "t"}
    assert task["output"]["given"] == {"topic": "t"}

    task = server.ended(server.submit("workflow:spoken", given)["id"])
    assert task["input"] == {"topic": "t"}
    assert task["subtasks"][0]["input"] == {"topic": "t"}


def everything(database_url: str) -> str:
    """All that the database holds: every value of every table and, of a file, every byte."""
    if database_url.startswith("sqlite"):
        file = Path(database_url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(file)) as connection:
            written = "\n".join(connection.iterdump())
        raw = b"".join(part.read_bytes() for part in file.parent.glob(f"{file.name}*"))
        return written + raw.decode("latin-1")
    with psycopg.connect(Address.parse(database_url).libpq) as connection:
        tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'agentplat'")
        rows = [
            str(row)
            for (table,) in tables.fetchall()
            for row in connection.execute(
                sql.SQL("SELECT t::text FROM agentplat.{} t").format(sql.Identifier(table))
            ).fetchall()
        ]
    return "\n".join(rows)


def mentions(text: str, address: str) -> list[str]:
    """Where the address stands, in upper or lower case, plain or as a URL or JSON would write it."""
    folded = text.lower()
    name, _, host = address.lower().partition("@")
    forms = (f"{name}@{host}", f"{name}%40{host}", f"{name}\\u0040{host}", name)
    return [folded[max(at - 200, 0) : at + 100] for form in forms if (at := folded.find(form)) >= 0]


def test_the_address_is_nowhere_afterwards(server: Server) -> None:
    """Whatever way it comes in: by the field, in the input, in any case, and within other texts and names."""
    client = ToolsOfOpenWebUI(server.url)
    inputs: list[tuple[dict[str, Any], str | None]] = [
        ({"topic": f"What did {ADDRESS} write about the fence?", **client.context()}, ADDRESS),
        ({"topic": "fence", "user_email": ADDRESS}, None),
        ({"topic": f"fence of {NORMAL}", "user_email": ADDRESS}, "anonymous"),
        ({"topic": f"mailto:{ADDRESS.upper()}?x", "user_email": ADDRESS}, "somebody.else@example.org"),
        (
            {"who": [{NORMAL: [f"<{ADDRESS.swapcase()}>", {"url": f"https://x/?u={NORMAL.replace('@', '%40')}"}]}]},
            ADDRESS,
        ),
        ({"tenant_id": f"team-{ADDRESS}"}, f"  {ADDRESS.upper()}  "),
        (client.context(), None),
    ]
    tasks: list[dict[str, Any]] = []
    for given, user in inputs:
        for kind in ("agent:echo", "workflow:simple_sequential"):
            body = {"type": kind, "input": {"topic": "fence", **given}, "user_id": user}
            # Whose address is told under no name that is known cannot be told from other text.
            named = ADDRESS if user or "user_email" in given else "nobody"
            headers = {"Idempotency-Key": f"{kind} of {named} {len(tasks)}"}
            task = client._polled(requests.post(f"{server.url}/tasks", json=body, headers=headers, timeout=30))
            assert task["status"] == "done", task
            tasks.append(task)
    client.seen.append(server.get("/tasks", limit=1000).text)
    client.seen += [server.get(f"/v1/tasks/{task['id']}/journal").text for task in tasks]

    assert server.worker is not None
    written = server.api.written() + server.worker.written()
    assert "echoed" in written, "the agent that logs what it is given was not heard"
    assert mentions(written, ADDRESS) == []
    assert mentions("\n".join(client.seen), ADDRESS) == []
    kept = everything(server.database_url)
    assert all(task["id"].replace("-", "") in kept.replace("-", "") for task in tasks)
    assert mentions(kept, ADDRESS) == []
    own = hmac.new(IDENTITY_KEY.encode(), NORMAL.encode(), hashlib.sha256).hexdigest()
    assert [task["user_id_hash"] == own for task in tasks] == [True] * 6 + [False] * 2 + [True] * 4 + [False] * 2


def test_a_name_that_is_no_address_spoils_no_input(idle: Server) -> None:
    task = idle.submit("agent:echo", {"topic": "a to z", "a": "a"}, user_id="a")
    assert task["input"] == {"topic": "a to z", "a": "a"}
    assert task["user_id_hash"] == hmac.new(IDENTITY_KEY.encode(), b"a", hashlib.sha256).hexdigest()


def test_what_names_two_users_keeps_their_tasks_apart(idle: Server) -> None:
    """The place of the address in a tenant or key is taken by the hash, which is another for each."""
    tasks: list[dict[str, Any]] = []
    for user in ("ada@example.org", "bob@example.org", "ADA@example.org"):
        body = {"type": "agent:echo", "input": {}, "user_id": user, "tenant_id": f"of-{user}"}
        tasks.append(idle.post("/tasks", body, Idempotency_Key=f"first of {user}").json())
    ada, bob, again = tasks
    assert ada["tenant_id"] != bob["tenant_id"]
    assert ada["id"] == again["id"] != bob["id"]


@pytest.fixture(scope="module")
def plain(folder: Path, new_database: NewDatabase) -> Iterator[Server]:
    """A server that hashes as older ones did."""
    with served(folder / "plain", new_database(), AGENTPLAT_IDENTITY__HASH="sha256") as server:
        yield server


def test_the_hash_is_keyed_by_default_and_plain_where_the_setting_says_so(idle: Server, plain: Server) -> None:
    keyed = hmac.new(IDENTITY_KEY.encode(), NORMAL.encode(), hashlib.sha256).hexdigest()
    older = hashlib.sha256(NORMAL.encode()).hexdigest()
    for server, expected, other in ((idle, keyed, older), (plain, older, keyed)):
        for form in (ADDRESS, NORMAL, f"  {ADDRESS.upper()}\t"):
            assert server.submit("agent:echo", {}, user_id=form)["user_id_hash"] == expected
        assert server.get(f"/tasks/costs/by-user/{expected}").json()["total_tasks"] == 3
        assert server.get(f"/tasks/costs/by-user/{other}").json()["total_tasks"] == 0
        assert len(server.get("/tasks", user_id_hash=expected).json()) == 3
