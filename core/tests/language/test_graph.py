from __future__ import annotations

from typing import TYPE_CHECKING

from agentplat.domain.workflow import Block, Step, ToolCall, Workflow, single
from agentplat.language.graph import mermaid

if TYPE_CHECKING:
    from .conftest import Compiler

WORKFLOW = """\
name: publish
steps:
  - {name: gather, agent: research}
  - name: polish
    when: ${{ steps.gather.output.ok == "yes" }}
    strategy: iterative_refinement
    max_iterations: 3
    convergence_check: assessment_approved
    steps:
      - {name: rewrite, agent: writer}
      - {name: critique, agent: assessment}
  - tool: http_request
  - {name: pause, wait: {duration: 90s}}
  - {name: approval, wait: {signal: approved}}
"""


def test_a_workflow_is_drawn_as_a_mermaid_flowchart(compiler: Compiler) -> None:
    assert (
        mermaid(compiler.compile(WORKFLOW))
        == """\
flowchart TD
  start(["publish"])
  s1["gather<br/>research"]
  start --> s1
  subgraph s2_block ["polish: iterative_refinement"]
    s2(( ))
    s2_1["rewrite<br/>writer"]
    s2 --> s2_1
    s2_2["critique<br/>assessment"]
    s2_1 --> s2_2
    s2_2 -.->|"again, at most 3 times, until assessment_approved"| s2_1
  end
  s1 -->|"when $#123;#123; steps.gather.output.ok == #34;yes#34; #125;#125;"| s2
  s3[["http_request"]]
  s2_2 --> s3
  s4{{"pause<br/>wait 0:01:30"}}
  s3 --> s4
  s5{{"approval<br/>signal approved"}}
  s4 --> s5
  finish([done])
  s5 --> finish
"""
    )


def test_steps_of_a_strategy_whose_order_is_unknown_stand_side_by_side() -> None:
    steps = tuple(Step(name=name, body=ToolCall(name)) for name in ("a", "b"))
    lines = mermaid(Workflow(name="w", root=Block(name="", strategy="debate", steps=steps))).splitlines()
    assert [line.strip() for line in lines if "-->" in line] == [
        "start --> s1",
        "start --> s2",
        "s1 --> finish",
        "s2 --> finish",
    ]


def test_a_lone_task_is_drawn_too() -> None:
    assert 's1[["calculator"]]' in mermaid(single("tool", "calculator"))


def test_no_text_of_a_workflow_can_break_out_of_its_label() -> None:
    step = Step(name="a", body=ToolCall('"]; click s1 "javascript:x"'), when='"| x\n--> <script>')
    drawn = mermaid(Workflow(name="w", root=Block(name="", strategy="sequential", steps=(step,))))
    assert "<script" not in drawn
    assert all(line.count('"') in (0, 2) for line in drawn.splitlines())


def test_items_failures_and_ends_are_drawn(compiler: Compiler) -> None:
    text = """\
name: w
steps:
- {name: each, foreach: [1, 2], agent: writer}
- {name: ask, approval: {message: sure?}}
- {name: tell, emit: {event: over}}
catch: [{on: refused, steps: [{name: sorry, agent: writer}]}]
finally: [{name: tidy, tool: calculator}]
"""
    drawn = mermaid(compiler.compile(text))

    for words in (
        "each: for each item",
        "each item",
        "approval",
        "emit over",
        "on refused",
        "finally",
        "sorry",
        "tidy",
    ):
        assert words in drawn
