"""What steps say of each other, and what blocks and steps say to their strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentplat.domain.errors import WorkflowInvalid
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import AgentCall, Block, Step
from agentplat.language.compiler import compile_steps

from .installed import Installed

if TYPE_CHECKING:
    from .conftest import Compiler

STRICT = """\
name: w
strategy: strict
join: any
judge: ${{ steps.a.output.best }}
steps:
  - {name: a, agent: writer, on: topic}
  - {name: b, agent: writer, needs: [a], options: {weight: 2}}
  - name: c
    needs: b
    strategy: sequential
    on: other
    options: {free: true}
    steps: [{agent: writer}]
"""


def test_options_stand_in_the_block_or_below_options(compiler: Compiler) -> None:
    root = compiler.compile(STRICT).root

    assert root.options == {"join": "any", "judge": "${{ steps.a.output.best }}"}
    assert root.told == {"a": {"on": "topic"}, "b": {"weight": 2}, "c": {"on": "other"}}
    assert root.needed == {"b": ("a",), "c": ("b",)}
    nested = root.step("c")
    assert isinstance(nested, Block)
    assert nested.options == {"free": True}


def test_an_option_means_the_same_wherever_it_stands(compiler: Compiler) -> None:
    text = "name: w\nstrategy: strict\n{}\nsteps: [{{agent: writer, name: a, {}}}]\n"

    sugar = compiler.compile(text.format("join: all\nmost: 2", "on: x"))
    plain = compiler.compile(text.format("options: {join: all, most: 2}", "options: {on: x}"))

    assert sugar == plain


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("jion: all\njoin: all", ["3:1 unknown_key"]),
        ("options: {jion: all, join: any}", ["3:11 unknown_option"]),
        ("join: some", ["3:7 invalid_option"]),
        ("join: all\nmost: 0", ["4:7 invalid_option"]),
        ("join: all\noptions: {most: two}", ["4:17 invalid_option"]),
        ("join: all\noptions: {join: any}", ["3:1 two_keys"]),
        ("most: 1", ["1:1 missing_option"]),
        ("join: ${{ input.x }}", ["3:7 expression"]),
        ("join: all\njudge: ${{ steps.z.output }}", ["4:18 unknown_step"]),
    ],
)
def test_what_a_strategy_does_not_take_is_said_where_it_stands(text: str, codes: list[str], compiler: Compiler) -> None:
    assert compiler.codes(f"name: w\nstrategy: strict\n{text}\nsteps: [{{agent: writer}}]\n") == codes


def test_a_wrong_option_of_a_step_is_said_where_it_stands(compiler: Compiler) -> None:
    steps = "- {agent: writer, on: 3}\n- {agent: research, options: {wieght: 1}}\n- {tool: calculator, no: 1}\n"

    assert compiler.codes(f"name: w\nstrategy: strict\njoin: all\nsteps:\n{steps}") == [
        "5:23 invalid_option",
        "6:31 unknown_option",
        "7:22 unknown_key",
    ]
    assert "did you mean `weight`?" in compiler.faults(f"name: w\nstrategy: strict\njoin: all\nsteps:\n{steps}")[1]


def test_a_strategy_without_a_schema_takes_what_stands_below_options(compiler: Compiler) -> None:
    root = compiler.compile("name: w\noptions: {a: [1]}\nsteps: [{agent: writer, options: {b: 2}}]\n").root

    assert (root.options, root.told) == ({"a": [1]}, {"writer": {"b": 2}})


@pytest.mark.parametrize(
    ("needs", "fault"),
    [
        ({"a": "[zz]"}, "unknown_step: there is no step `zz` in this block"),
        ({"a": "[a]"}, "cycle: these steps wait for each other: a -> a"),
        ({"a": "[b]", "b": "[c]", "c": "[a]"}, "cycle: these steps wait for each other: a -> b -> c -> a"),
        ({"a": "[b]", "b": "[c]", "c": "[b]"}, "cycle: these steps wait for each other: b -> c -> b"),
        ({"a": "b"}, None),
        ({"a": "[3]"}, "wrong_type"),
    ],
)
def test_what_cannot_wait_for_each_other_is_refused(
    needs: dict[str, str], fault: str | None, compiler: Compiler
) -> None:
    steps = "".join(
        f"  - {{name: {name}, agent: writer{f', needs: {needs[name]}' if name in needs else ''}}}\n" for name in "abc"
    )
    text = f"name: w\nstrategy: strict\njoin: all\nsteps:\n{steps}"

    if fault is None:
        assert compiler.compile(text).root.needed == {"a": ("b",)}
    else:
        assert [line for line in compiler.faults(text) if fault in line]


def test_a_step_that_waits_for_a_later_one_in_a_sequence_is_unreachable(compiler: Compiler) -> None:
    text = "name: w\nsteps:\n- {agent: writer, needs: [research]}\n- {agent: research, needs: [writer]}\n"

    assert compiler.codes(text) == ["3:27 cycle", "3:27 unreachable_step"]


def test_a_long_chain_of_needs_is_followed_to_its_end(compiler: Compiler) -> None:
    steps = "".join(f"- {{name: s{n}, agent: writer, needs: [s{n - 1}]}}\n" for n in range(1, 500))

    root = compiler.compile(f"name: w\nsteps:\n- {{name: s0, agent: writer}}\n{steps}").root

    assert root.needed["s499"] == ("s498",)


PLANNED_FOR = Block(name="b", strategy="strict", steps=(Step(name="a", body=AgentCall("writer")),))


def test_a_plan_is_read_like_a_document() -> None:
    plan: JsonValue = [
        {"name": "x", "agent": "writer", "on": "fact"},
        {"name": "y", "tool": "calculator", "needs": ["x", "a"]},
    ]

    forms = compile_steps(plan, PLANNED_FOR, Installed())

    assert [form["name"] for form in forms] == ["x", "y"]
    assert (forms[0]["step_options"], forms[1]["needs"]) == ({"on": "fact"}, ["x", "a"])


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (None, "no_steps"),
        ([], "no_steps"),
        ("text", "wrong_type"),
        ([{"name": "a", "agent": "writer"}], "duplicate_step"),
        ([{"name": "x", "agent": "wirter"}], "did you mean `writer`?"),
        ([{"name": "x", "agent": "writer", "needs": ["q"]}], "unknown_step"),
        ([{"name": "x", "agent": "writer", "input": "${{ oops"}], "expression"),
        ([["deep" for _ in range(9)]] * 700, "too_large"),
    ],
)
def test_a_plan_with_faults_is_refused_with_all_of_them(plan: JsonValue, words: str) -> None:
    with pytest.raises(WorkflowInvalid) as caught:
        compile_steps(plan, PLANNED_FOR, Installed())

    assert any(words in line for line in caught.value.diagnostics), caught.value.diagnostics
    assert all(line.startswith("plan:") for line in caught.value.diagnostics)
