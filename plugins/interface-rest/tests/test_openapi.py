"""The OpenAPI document: every operation says what it does, what it answers and how it fails, with examples that fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from agentplat_interface_rest.app import create_app
from agentplat_testkit.contracts.interfaces import AbsentClient

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    document: dict[str, Any] = create_app(AbsentClient()).openapi()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def media(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Status (or `body`), media type and what is said of it."""
    for kind, said in operation.get("requestBody", {}).get("content", {}).items():
        yield "body", kind, said
    for status, answer in operation["responses"].items():
        for kind, said in answer.get("content", {}).items():
            yield status, kind, said


def test_every_operation_of_the_compatible_surface_is_there(document: dict[str, Any]) -> None:
    named = {name for name, _ in operations(document)}

    assert named >= {
        "GET /health",
        "POST /tasks",
        "POST /tasks/agent",
        "POST /tasks/tool",
        "GET /tasks/{task_id}",
        "GET /tasks",
        "PATCH /tasks/{task_id}",
        "GET /tasks/costs/by-user/{user_hash}",
        "GET /tasks/costs/summary",
        "GET /admin/agents",
        "GET /admin/tools",
        "GET /admin/workflows",
        "GET /admin/usage/{user_id_hash}",
        "GET /metrics",
    }


def test_every_operation_has_a_summary_and_a_description(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name


def test_every_operation_has_an_example_of_what_is_sent_and_answered(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        said = list(media(operation))
        assert any(status.startswith("2") for status, _, _ in said), name
        for status, kind, medium in said:
            assert "example" in medium, (name, status, kind)


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, kind, medium in media(operation):
            schema = {**medium["schema"], "components": document["components"]}
            faults = [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(medium["example"])]
            assert not faults, (name, status, kind)


def test_every_error_is_a_problem_document_and_nothing_else(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, kind, medium in media(operation):
            if status[0] in "45" and name != "GET /health":
                assert kind == PROBLEM, (name, status)
                assert medium["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert medium["example"]["status"] == int(status)
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("POST /tasks", {"400", "409", "413", "415", "422", "503"}),
        ("POST /tasks/agent", {"400", "409", "413", "415", "422", "503"}),
        ("POST /tasks/tool", {"400", "409", "413", "415", "422", "503"}),
        ("GET /tasks/{task_id}", {"404", "503"}),
        ("GET /tasks", {"422", "503"}),
        ("PATCH /tasks/{task_id}", {"404", "409", "413", "415", "422", "503"}),
        ("GET /tasks/costs/by-user/{user_hash}", {"422", "503"}),
        ("GET /tasks/costs/summary", {"503"}),
        ("GET /admin/usage/{user_id_hash}", {"422", "503"}),
        ("GET /health", {"503"}),
    ],
)
def test_an_operation_names_its_errors(document: dict[str, Any], operation: str, statuses: set[str]) -> None:
    found = dict(operations(document))[operation]
    assert {status for status in found["responses"] if status[0] in "45"} == statuses


def test_the_document_says_that_a_body_is_json_only(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        kinds = [kind for status, kind, _ in media(operation) if status == "body"]
        assert kinds in ([], ["application/json"]), name


def test_no_shape_is_described_that_nothing_uses(document: dict[str, Any]) -> None:
    used = {ref for _, operation in operations(document) for ref in references(operation)}
    for _ in range(5):  # shapes within shapes
        used |= {ref for name in used for ref in references(document["components"]["schemas"][name])}
    assert set(document["components"]["schemas"]) == used


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
