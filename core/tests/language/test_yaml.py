from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agentplat.domain.errors import WorkflowInvalid
from agentplat.language import yaml as documents
from agentplat.language.diagnostics import Mark
from agentplat.language.yaml import MAX_BYTES, MAX_NODES, load, resolve

if TYPE_CHECKING:
    from .conftest import Load


def value(text: str | bytes) -> Any:
    return load(text, "w.yaml").value


@pytest.mark.parametrize(
    ("plain", "meaning"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("2026-11-23", "2026-11-23"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("-12", -12),
        ("+3", 3),
        ("1_000", "1_000"),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.10", 1.1),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("", None),
        ("=", "="),
        ("<<", "<<"),
        ("0b11", "0b11"),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(plain: str, meaning: object) -> None:
    assert resolve(plain) == meaning
    assert type(resolve(plain)) is type(meaning)


def test_a_scalar_in_quotes_is_a_text() -> None:
    assert value("a: 'true'\nb: \"1\"\nc: |\n  1\nd: >-\n  null") == {"a": "true", "b": "1", "c": "1\n", "d": "null"}


def test_every_value_and_every_key_remembers_its_place() -> None:
    document = load("name: x\nsteps:\n  - agent: é\n    input: {a: [1,  2]}\n", "w.yaml")
    assert document.value == {"name": "x", "steps": [{"agent": "é", "input": {"a": [1, 2]}}]}
    assert document.mark(("name",)) == Mark(1, 7)
    assert document.key_mark(("name",)) == Mark(1, 1)
    assert document.mark(("steps", 0)) == Mark(3, 5)
    assert document.key_mark(("steps", 0, "input")) == Mark(4, 5)
    assert document.mark(("steps", 0, "input", "a", 1)) == Mark(4, 21)


def test_the_place_of_what_is_not_there_is_that_of_its_surroundings() -> None:
    document = load("a: 1\nb:\n  c: 2\n", "w.yaml")
    assert document.mark(("b", "d", 0)) == document.mark(("b",)) == Mark(3, 3)
    assert document.mark(("x",)) == Mark(1, 1)


@pytest.mark.parametrize("text", ["a: 1\r\nb: [1,\r\n  2]\n", "a: 1\rb: 2", "a: 1\x85b: 2", "a: '\u2028x'\nb: 2"])
def test_offsets_and_marks_are_each_other_s_inverse(text: str) -> None:
    document = load(text, "w.yaml")
    for path, mark in {**document.marks, **document.key_marks}.items():
        assert document.mark_of(document.offset(mark)) == mark, path


def test_an_empty_document_has_no_value() -> None:
    assert value("") is None
    assert value("# nothing\n") is None


def test_a_byte_order_mark_and_a_version_are_read_over() -> None:
    assert value(b"\xef\xbb\xbf%YAML 1.2\n---\na: 1\n...\n") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("a: &x 1\n", ["1:4 anchor"]),
        ("a: &x [1]\nb: *x\n", ["1:4 anchor", "2:4 alias"]),
        ("a: !!python/object:os.system x\n", ["1:4 tag"]),
        ("a: !own {b: 1}\n", ["1:4 tag"]),
        ("a: !!str 1\n", ["1:4 tag"]),
        ("a: 1\nb: 2\na: 3\n", ["3:1 duplicate_key"]),
        ("a: {b: 1, b: {c: 1, c: 2}}\n", ["1:11 duplicate_key", "1:21 duplicate_key"]),
        ("1: a\ntrue: b\nnull: c\n", ["1:1 key_not_text", "2:1 key_not_text", "3:1 key_not_text"]),
        ("? [a]\n: b\n", ["1:3 key_not_text"]),
        ("a: .nan\nb: -.inf\nc: 1e400\n", ["1:4 number", "2:4 number", "3:4 number"]),
        (f"a: {'9' * 301}\n", ["1:4 number"]),
        ("a: 1\n---\nb: 2\n", ["2:1 several_documents"]),
        ('a: "x\\0y"\n', ["1:4 text"]),
        ("a: x\x00y\n", ["1:5 control_character"]),
        ("a: 1\nb: \x1b[0m\n", ["2:4 control_character"]),
        (b"a: 1\nb: \xff\n", ["2:4 not_utf8"]),
        ("a: \ud800\n", ["1:4 not_utf8"]),
        ("a: [1,\nb: }\n", ["2:4 yaml_syntax"]),
        ("a: b: c\n", ["1:5 yaml_syntax"]),
        ("\ta: 1\n", ["1:1 yaml_syntax"]),
        ("a: 'x\n", ["2:1 yaml_syntax"]),
        ("[" * 40 + "]" * 40, ["1:33 too_large"]),
        ("[" + "1," * MAX_NODES + "]", [f"1:{2 * MAX_NODES} too_large"]),
        ("#" * (MAX_BYTES + 1), ["1:1 too_large"]),
    ],
)
def test_what_is_refused_is_refused_where_it_stands(text: str | bytes, refused: list[str], refusals: Load) -> None:
    assert refusals(text) == refused


def test_a_duplicate_key_names_both_places() -> None:
    with pytest.raises(WorkflowInvalid, match=r"w\.yaml:3:3: duplicate_key: .*`b`.*line 2, column 3"):
        value("a:\n  b: 1\n  b: 2\n")


def test_a_document_within_the_limits_is_read() -> None:
    assert value("[" * 32 + "]" * 32)
    assert len(value("[" + "1," * (MAX_NODES - 2) + "1]")) == MAX_NODES - 1


def test_a_bomb_of_aliases_is_refused_before_it_is_built(refusals: Load) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert {fault.split()[1] for fault in refusals("\n".join(lines))} <= {"anchor", "alias", "1:1"} | {"more_faults"}


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch, refusals: Load) -> None:
    texts = ["a: [1, {b: 'x'}]\nc: |\n  é\n  ${{ x }}\n", "a: on\nb: ~\n"]
    quick = [load(text, "w.yaml") for text in texts]
    monkeypatch.setattr(documents, "_LOADER", yaml.SafeLoader)
    slow = [load(text, "w.yaml") for text in texts]
    assert [(d.value, d.marks, d.key_marks) for d in quick] == [(d.value, d.marks, d.key_marks) for d in slow]
    assert refusals("a: &x 1\nb: [\n") == ["3:1 yaml_syntax", "1:4 anchor"][::-1]
    assert refusals("a: \u0001") == ["1:4 control_character"]
