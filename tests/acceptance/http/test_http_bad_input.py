"""What cannot be used is refused with a problem document that says why. Nothing is kept of it, and nothing breaks."""

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from .processes import Server
from .shapes import pointers, problem

SECRET = "sqlalchemy"  # of what an answer must never speak
LIMIT = 1024 * 1024


@pytest.fixture(autouse=True)
def nothing_is_kept(idle: Server) -> Iterator[None]:
    """No request of this module makes a task, unless it says so, and the server is well after each."""
    before = idle.get("/tasks/costs/summary").json()["total_tasks"]
    yield
    assert idle.get("/tasks/costs/summary").json()["total_tasks"] == before
    assert idle.get("/health").status_code == 200
    assert "request_failed" not in idle.api.written()
    assert "Traceback" not in idle.api.written()


def echo(input: str) -> bytes:
    return b'{"type": "agent:echo", "input": {"x": %s}}' % input.encode("utf-8", "surrogatepass")


MALFORMED = {
    "nothing at all": b"",
    "half an object": b'{"type": "agent:echo", ',
    "a trailing comma": b'{"type": "agent:echo",}',
    "single quotes": b"{'type': 'agent:echo'}",
    "two documents": b'{"type": "agent:echo"}{}',
    "NaN": echo("NaN"),
    "Infinity": echo("Infinity"),
    "minus Infinity": echo("[1, -Infinity]"),
    "1e400": echo("1e400"),
    "a minus of its own": echo("-"),
    "an integer of 5,000 digits": echo("9" * 5000),
    "an integer of 500,000 digits": echo("9" * 500_000),
    "a negative integer of 301 digits": echo("-" + "9" * 301),
    "100,000 levels of lists": echo("[" * 100_000 + "]" * 100_000),
    "100,000 levels of objects": echo('{"a":' * 100_000 + "1" + "}" * 100_000),
    "half a document of 500,000 levels": echo("[" * 500_000),
    "bytes that are not UTF-8": b'{"type": "agent:echo", "input": {"x": "\xff\xfe"}}',
    "UTF-16": '{"type": "agent:echo"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"type": "agent:echo"}',
    "a raw half of a surrogate pair": echo('"\ud800"'),
    "a raw control character": echo('"\x00"'),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_json_is_refused(idle: Server, body: bytes) -> None:
    for path, method in (("/tasks", "POST"), ("/tasks/agent", "POST"), ("/tasks/tool", "POST")):
        found = problem(idle.send(body, path, method), 422, "does not fit")
        assert pointers(found) == [""]
        assert SECRET not in found["detail"]


def test_the_place_of_a_fault_is_told(idle: Server) -> None:
    problem(idle.send(b'{"type": x}'), 422, "is not JSON", "(character 10)")


UNSTORABLE = {
    "U+0000 in a text": ('{"a": "x\\u0000y"}', "/input/x/a", "U+0000"),
    "U+0000 in a key": ('{"a\\u0000": 1}', "/input/x/a\ufffd", "U+0000"),
    "half a surrogate pair in a text": ('["\\ud800"]', "/input/x/0", "surrogate"),
    "half a surrogate pair in a key": ('{"\\udfff": 1}', "/input/x/\ufffd", "surrogate"),
    "two halves in the wrong order": ('"\\udc00\\ud800"', "/input/x", "surrogate"),
    "65 levels": ("[" * 65 + "]" * 65, "/input/x" + "/0" * 64, "deeper than 64"),
    "500 levels": ("[" * 500 + "]" * 500, "/input/x" + "/0" * 64, "deeper than 64"),
    "a pointer's own characters": ('{"a/b~c": "\\u0000"}', "/input/x/a~1b~0c", "U+0000"),
}


def test_a_name_of_the_input_itself_is_checked_too(idle: Server) -> None:
    for name in ("a\\u0000", "\\ud800"):
        body = b'{"type": "agent:echo", "input": {"%s": 1}}' % name.encode()
        problem(idle.send(body), 422, "does not fit")


@pytest.mark.parametrize(("value", "pointer", "word"), UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_json_that_no_database_can_keep_is_refused_with_its_place(
    idle: Server, value: str, pointer: str, word: str
) -> None:
    found = problem(idle.send(echo(value)), 422, word)
    assert pointers(found) == [pointer]


WRONG = {
    "a list": ("[]", "", "is not an object"),
    "a text": ('"text"', "", "is not an object"),
    "a number": ("5", "", "is not an object"),
    "null": ("null", "", "is not an object"),
    "no type": ("{}", "/type", "is missing"),
    "a null type": ('{"type": null}', "/type", "is not text"),
    "a number as type": ('{"type": 7}', "/type", "is not text"),
    "an empty type": ('{"type": ""}', "/type", "at least 1"),
    "a long type": ('{"type": "agent:%s"}' % ("x" * 300), "/type", "at most"),
    "U+0000 in the type": ('{"type": "agent:\\u0000"}', "/type", "U+0000"),
    "half a surrogate pair in the type": ('{"type": "agent:\\ud800"}', "/type", "surrogate"),
    "a null input": ('{"type": "agent:echo", "input": null}', "/input", "is not an object"),
    "a list as input": ('{"type": "agent:echo", "input": []}', "/input", "is not an object"),
    "a text as input": ('{"type": "agent:echo", "input": "{}"}', "/input", "is not an object"),
    "a number as user": ('{"type": "agent:echo", "user_id": 7}', "/user_id", "is not text"),
    "an object as user": ('{"type": "agent:echo", "user_id": {}}', "/user_id", "is not text"),
    "a truth value as user": ('{"type": "agent:echo", "user_id": true}', "/user_id", "is not text"),
    "U+0000 in the user": ('{"type": "agent:echo", "user_id": "a\\u0000@b.c"}', "/user_id", "U+0000"),
    "a long user": ('{"type": "agent:echo", "user_id": "%s"}' % ("x" * 256), "/user_id", "at most"),
    "a number as tenant": ('{"type": "agent:echo", "tenant_id": 7}', "/tenant_id", "is not text"),
    "U+0000 in the tenant": ('{"type": "agent:echo", "tenant_id": "\\u0000"}', "/tenant_id", "U+0000"),
}


@pytest.mark.parametrize(("body", "pointer", "word"), WRONG.values(), ids=WRONG.keys())
def test_what_has_another_type_is_refused_with_its_place(idle: Server, body: str, pointer: str, word: str) -> None:
    found = problem(idle.send(body.encode()), 422, word)
    assert pointers(found) == [pointer]
    assert found["error_code"] == "input_rejected"


def test_all_faults_are_told_at_once(idle: Server) -> None:
    found = problem(idle.post("/tasks", {"type": 1, "input": [], "user_id": 2}), 422)
    assert sorted(pointers(found)) == ["/input", "/type", "/user_id"]


def test_the_paths_for_agents_and_tools_name_their_own_fields(idle: Server) -> None:
    assert pointers(problem(idle.post("/tasks/agent", {"input": {}}), 422)) == ["/agent_type"]
    assert pointers(problem(idle.post("/tasks/tool", {"tool_name": 5}), 422)) == ["/tool_name"]
    assert pointers(problem(idle.post("/tasks/agent", {"agent_type": "x" * 201}), 422)) == ["/agent_type"]


def test_a_tenant_within_the_input_is_checked_like_the_field(idle: Server) -> None:
    for tenant in ("x" * 256, "a\0"):
        problem(idle.post("/tasks", {"type": "agent:echo", "input": {"tenant_id": tenant}}), 422, "/input/tenant_id")


# --- names --------------------------------------------------------------------------------------------------


def test_what_nobody_offers_is_answered_with_what_there_is(idle: Server) -> None:
    for name, words in {
        "workflow:nope": ("Workflow 'nope' not found", "research_assessment", "counted"),
        "agent:nope": ("Agent 'nope' not found", "summarizer", "echo"),
        "tool:nope": ("Tool 'nope' not found", "calculator", "join"),
        "agent:Echo": ("Agent 'Echo' not found",),
        "agent:echo ": ("Agent 'echo ' not found",),
        "model:x": ("Task type 'model:x' not found", "workflow:<name>", "agent:<name>", "tool:<name>"),
        "echo": ("Task type 'echo' not found",),
        "agent:": ("Task type 'agent:' not found",),
        "AGENT:echo": ("Task type 'AGENT:echo' not found",),
    }.items():
        found = problem(idle.post("/tasks", {"type": name}), 400, *words)
        assert found["error_code"] == "unknown_name"
    problem(idle.post("/tasks/agent", {"agent_type": "nope"}), 400, "Agent 'nope' not found", "echo")
    problem(idle.post("/tasks/tool", {"tool_name": "nope"}), 400, "Tool 'nope' not found", "join")


def test_a_workflow_whose_file_is_at_fault_is_refused_with_its_diagnostics(idle: Server) -> None:
    found = problem(idle.post("/tasks", {"type": "workflow:broken"}), 422, "broken.yaml", "nobody")
    assert found["error_code"] == "workflow_invalid"


# --- inputs of workflows, agents and tools ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "given", "pointer"),
    [
        ("workflow:counted", {}, "/input/times"),
        ("workflow:counted", {"times": "three"}, "/input/times"),
        ("workflow:counted", {"times": 3, "label": 7}, "/input/label"),
        ("agent:exact", {}, "/input/times"),
        ("agent:exact", {"times": "many"}, "/input/times"),
        ("agent:exact", {"times": 3, "label": []}, "/input/label"),
        ("agent:exact", {"_times": 3}, "/input/times"),
        ("agent:summarizer", {}, "/input/text"),
        ("agent:summarizer", {"text": ""}, "/input/text"),
        ("agent:research", {"depth": 3}, "/input/topic"),
        ("tool:calculator", {}, "/input/expression"),
        ("tool:calculator", {"expression": 7}, "/input/expression"),
        ("tool:calculator", {"expression": "1", "also": 1}, "/input/also"),
        ("tool:join", {"left": "a"}, "/input/right"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_at_the_door(
    idle: Server, type: str, given: dict[str, Any], pointer: str
) -> None:
    found = problem(idle.post("/tasks", {"type": type, "input": given}), 422, type)
    assert pointer in pointers(found)


# --- size ---------------------------------------------------------------------------------------------------


def oversized(megabytes: int) -> bytes:
    return b'{"type": "agent:echo", "input": {"x": "' + b"x" * (megabytes * LIMIT) + b'"}}'


@pytest.mark.parametrize("megabytes", [1, 2, 8])
def test_a_body_above_the_limit_is_refused_whether_or_not_its_length_is_announced(idle: Server, megabytes: int) -> None:
    body = oversized(megabytes)
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    headers = {"Content-Type": "application/json"}

    announced = idle.send(body)
    chunked = idle.request("POST", "/tasks", data=pieces, headers=headers)

    for answer in (announced, chunked):
        assert problem(answer, 413, str(LIMIT))["error_code"] == "body_too_large"
    problem(idle.send(body, "/tasks/01a20908-d67f-76ae-969d-267b07477882", "PATCH"), 413)


def test_a_client_that_asks_first_is_told_before_it_sends(idle: Server) -> None:
    head = (
        f"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {2 * LIMIT}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(idle.address, timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_sender_without_end_is_cut(idle: Server) -> None:
    head = (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with socket.create_connection(idle.address, timeout=30) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(head)
        while sent < 256 * LIMIT:
            connection.sendall(piece)
            sent += len(piece)
    assert LIMIT < sent < 256 * LIMIT


def test_a_client_that_leaves_within_its_body_harms_nobody(idle: Server) -> None:
    head = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
    for _ in range(5):
        with socket.create_connection(idle.address, timeout=30) as connection:
            connection.sendall(head + b'{"type": "agent:echo"')


# --- content types and methods ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "image/png",
        "json",
    ],
)
def test_only_what_says_that_it_is_json_is_read(idle: Server, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = idle.request("POST", "/tasks", data=b'{"type": "agent:echo"}', headers=headers)
    problem(answer, 415, "Content-Type: application/json")


def test_a_packed_body_is_not_unpacked(idle: Server) -> None:
    packed = gzip.compress(b" " * 50 * LIMIT)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    problem(idle.request("POST", "/tasks", data=packed, headers=headers), 422, "is not JSON")


def test_a_form_is_no_json(idle: Server) -> None:
    problem(idle.request("POST", "/tasks", data={"type": "agent:echo"}), 415)
    problem(idle.request("POST", "/tasks", files={"type": b"agent:echo"}), 415)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/tasks", {"GET", "POST"}),
        ("PUT", "/tasks", {"GET", "POST"}),
        ("DELETE", "/tasks/01a20908-d67f-76ae-969d-267b07477882", {"GET", "PATCH"}),
        ("POST", "/tasks/01a20908-d67f-76ae-969d-267b07477882", {"GET", "PATCH"}),
        ("OPTIONS", "/tasks/agent", {"POST"}),
        ("POST", "/health", {"GET"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
        ("PATCH", "/admin/agents", {"GET"}),
        ("BREW", "/tasks", {"GET", "POST"}),
    ],
)
def test_a_method_that_a_path_does_not_know_is_refused(idle: Server, method: str, path: str, allowed: set[str]) -> None:
    answer = idle.request(method, path)
    problem(answer, 405, "Allow")
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_a_path_that_is_not_there_is_not_found(idle: Server) -> None:
    for path in ("/", "/task", "/tasks/1/2", "/admin", "/v2/tasks", "/tasks/../etc/passwd%00", "/%2e%2e/x", "//tasks"):
        assert idle.get(path).status_code == 404, path
    problem(idle.get("/nothing/here"), 404, "nothing at this path")


# --- parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "1001"),
        ("limit", "1" + "0" * 20),
        ("limit", "9" * 5000),
        ("limit", "ten"),
        ("limit", ""),
        ("limit", "1.5"),
        ("limit", "NaN"),
        ("status_filter", "finished"),
        ("status_filter", "DONE"),
        ("status_filter", ""),
        ("cursor", "x"),
        ("cursor", "' OR 1=1 --"),
        ("cursor", ""),
        ("q", "x" * 201),
        ("q", "\0"),
        ("type", "a\0"),
        ("tenant_id", "\0"),
        ("user_id_hash", "a" * 256),
        ("user_id_hash", "\0"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(idle: Server, name: str, value: str) -> None:
    assert pointers(problem(idle.get("/tasks", **{name: value}), 422)) == [f"/query/{name}"]


def test_hashes_that_are_none_are_refused_or_unknown(idle: Server) -> None:
    for path in ("/tasks/costs/by-user", "/admin/usage"):
        problem(idle.get(f"{path}/%00"), 422, "U+0000")
        problem(idle.get(f"{path}/{'a' * 256}"), 422)
        assert idle.get(f"{path}/'%20OR%20''='").json()["total_tasks"] == 0
        assert idle.get(f"{path}/%F0%9F%99%82").json()["total_tasks"] == 0


def test_sequence_numbers_beyond_all_bounds_are_refused(idle: Server) -> None:
    journal = "/v1/tasks/01a20908-d67f-76ae-969d-267b07477882/journal"
    for after in ("-1", "9" * 20, "x"):
        assert pointers(problem(idle.get(journal, after=after), 422)) == ["/query/after"]
    problem(idle.get(journal, after="9223372036854775807"), 404)


def test_an_idempotency_key_has_a_length(idle: Server) -> None:
    for key in ("", "k" * 256):
        found = problem(idle.post("/tasks", {"type": "agent:echo"}, Idempotency_Key=key), 422)
        assert pointers(found) == ["/header/Idempotency-Key"]


# --- foreign pages ------------------------------------------------------------------------------------------

FOREIGN_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example:8000",
    "localhost:80@evil.example",
    "[::2]",
    "0.0.0.0",
    "10.0.0.1",
    "",
]
FOREIGN_ORIGINS = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://evil.example:8000",
    "null",
    "file://",
    "http://[",
    "http://localhost:80@evil.example",
    "http://localhost/x",
    "localhost",
    "",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_host_that_is_not_this_machine_is_refused(idle: Server, host: str) -> None:
    for method, path in (("GET", "/tasks"), ("GET", "/health"), ("POST", "/tasks"), ("GET", "/openapi.json")):
        answer = idle.request(method, path, headers={"Host": host}, json={"type": "agent:echo"})
        assert problem(answer, 403, "not this machine")["error_code"] == "foreign_origin"


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_an_origin_that_is_not_this_machine_is_refused(idle: Server, origin: str) -> None:
    for method, path in (("GET", "/tasks"), ("POST", "/tasks")):
        answer = idle.request(method, path, headers={"Origin": origin}, json={"type": "agent:echo"})
        problem(answer, 403, "not this machine")


def test_pages_of_this_machine_are_served(idle: Server) -> None:
    for name in ("http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:1", "https://LOCALHOST"):
        assert idle.request("GET", "/health", headers={"Origin": name}).status_code == 200
    for name in ("localhost", "LocalHost:1", "127.0.0.1:99", "[::1]:8000"):
        assert idle.request("GET", "/health", headers={"Host": name}).status_code == 200


def test_headers_of_proxies_change_nothing(idle: Server) -> None:
    forwarded = {"X-Forwarded-Host": "localhost", "X-Forwarded-For": "127.0.0.1", "Forwarded": "host=localhost"}
    problem(idle.request("GET", "/tasks", headers={"Host": "evil.example", **forwarded}), 403)
    foreign = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Original-URL": "/admin/agents"}
    assert idle.request("GET", "/health", headers=foreign).json()["status"] == "healthy"


def test_a_port_that_is_none_breaks_nothing(idle: Server) -> None:
    for path in ("/health", "/tasks/", "/tasks", "/nothing"):
        assert idle.request("GET", path, headers={"Host": "localhost:abc"}, allow_redirects=False).status_code < 500


def test_garbage_on_the_wire_is_answered_and_the_server_goes_on(idle: Server) -> None:
    for garbage in (
        b"\x00\xff\xfe\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /tasks HTTP/1.0\r\n\r\n",
    ):
        with socket.create_connection(idle.address, timeout=30) as connection:
            try:
                connection.sendall(garbage)
                said = connection.recv(65536)
            except ConnectionError:
                continue  # cut off while it was still sending
            assert b" 500 " not in said.split(b"\r\n")[0]


def test_a_replayed_page_of_bad_requests_leaves_the_good_ones_alone(idle: Server) -> None:
    """One connection, used again after each refusal."""
    for body in (b"{", b"[]", oversized(2), b'{"type": "agent:nope"}') * 3:
        assert idle.send(body).status_code in (400, 413, 422)
        assert idle.get("/health").status_code == 200
    assert json.loads(idle.get("/tasks/costs/summary").text)["total_tasks"] >= 0
