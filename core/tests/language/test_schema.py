from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentplat.language.schema import faults, with_defaults

if TYPE_CHECKING:
    from .conftest import Compiler

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "minLength": 1},
        "urls": {"type": "array", "items": {"type": "string", "pattern": "^https?://"}, "default": []},
        "depth": {"type": "integer", "maximum": 5},
    },
    "required": ["topic"],
}


def test_a_value_that_fits_has_no_faults() -> None:
    assert faults(SCHEMA, {"topic": "x", "urls": ["https://a"], "other": None}) == []


def test_every_fault_is_told_with_its_pointer() -> None:
    found = faults(SCHEMA, {"urls": ["https://a", "ftp://b", 3], "depth": 6})
    assert sorted(pointer for pointer, _ in found) == ["/depth", "/topic", "/urls/1", "/urls/2"]
    assert dict(found)["/topic"] == "is missing"
    assert "maximum of 5" in dict(found)["/depth"]


def test_pointers_are_escaped_and_reasons_are_short() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a/b~c": {"type": "integer"}}}
    ((pointer, reason),) = faults(schema, {"a/b~c": "x" * 10_000})
    assert pointer == "/a~1b~0c"
    assert len(reason) < 200


def test_very_many_faults_are_cut() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
    assert len(faults(schema, {"a": ["x"] * 500})) == 20


def test_a_pattern_runs_in_linear_time() -> None:
    # A backtracking engine would not end before the test's time is up.
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
    assert len(faults(schema, {"a": "a" * 100_000 + "b"})) == 1


def test_defaults_fill_what_is_not_there() -> None:
    assert with_defaults(SCHEMA, {"topic": "x"}) == {"topic": "x", "urls": []}
    assert with_defaults(SCHEMA, {"urls": ["a"]}) == {"urls": ["a"]}
    assert with_defaults({"type": "object"}, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("given", "schema"),
    [
        ("{topic: string}", {"properties": {"topic": {"type": "string"}}, "required": ["topic"]}),
        ("{a: any, b: list}", None),
        ("{a: any}", {"properties": {"a": {}}, "required": ["a"]}),
        ("{a: {type: integer, default: 3}}", {"properties": {"a": {"type": "integer", "default": 3}}}),
        ("{type: string}", {"properties": {"type": {"type": "string"}}, "required": ["type"]}),
        ("{properties: object}", {"properties": {"properties": {"type": "object"}}, "required": ["properties"]}),
        ("{type: object, properties: {a: {type: string}}}", {"properties": {"a": {"type": "string"}}}),
        ("{type: object}", {}),
        ("{}", {"properties": {}}),
    ],
)
def test_the_short_and_the_whole_form_are_told_apart(
    given: str, schema: dict[str, Any] | None, compiler: Compiler
) -> None:
    text = f"name: w\ninput: {given}\nsteps: [{{agent: writer}}]\n"
    if schema is None:
        known = "any, array, boolean, integer, null, number, object, string"
        assert compiler.faults(text) == [f"2:20: unknown_type: there is no type `list`; known: {known}"]
    else:
        assert compiler.compile(text).input_schema == {"type": "object", **schema}


def test_a_type_of_two_lines_is_refused_on_one(compiler: Compiler) -> None:
    known = "any, array, boolean, integer, null, number, object, string"
    refused = f"2:12: unknown_type: there is no type `a\\n\\x1b`; known: {known}"
    assert compiler.faults('name: w\ninput: {a: "a\\n\\e"}\nsteps: [{agent: writer}]\n') == [refused]
