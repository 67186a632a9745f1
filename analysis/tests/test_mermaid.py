from __future__ import annotations

from typing import TYPE_CHECKING

from agentplat_analysis.picture.mermaid import mermaid
from agentplat_analysis.reading import installed

from agentplat.domain.workflow import Block, Step, ToolCall, Workflow, single

from .everything import EVERYTHING

if TYPE_CHECKING:
    from .conftest import Compiler

STRATEGIES = installed().strategy
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
        mermaid(compiler.compile(WORKFLOW), STRATEGIES)
        == """\
flowchart TD
  start(["publish"])
  s1["gather<br/>research"]
  subgraph s2_block ["polish: iterative_refinement"]
    s2(( ))
    s2_1["rewrite<br/>writer"]
    s2_2["critique<br/>assessment"]
    s2 --> s2_1
    s2_1 --> s2_2
    s2_2 -.->|"again, at most 3 times, until assessment_approved"| s2_1
  end
  s3[["http_request"]]
  s4{{"pause<br/>wait 1 min 30 s"}}
  s5{{"approval<br/>signal approved"}}
  finish(["done"])
  start --> s1
  s1 -->|"when $#123;#123; steps.gather.output.ok == #34;yes#34; #125;#125;"| s2
  s2_2 --> s3
  s3 --> s4
  s4 --> s5
  s5 --> finish
"""
    )


def test_steps_of_a_strategy_that_is_not_installed_stand_side_by_side() -> None:
    steps = tuple(Step(name=name, body=ToolCall(name)) for name in ("a", "b"))
    lines = mermaid(Workflow(name="w", root=Block(name="", strategy="lost", steps=steps)), STRATEGIES).splitlines()
    assert [line.strip() for line in lines if "-->" in line] == [
        "start --> s1",
        "start --> s2",
        "s1 --> finish",
        "s2 --> finish",
    ]


def test_a_lone_task_is_drawn_too() -> None:
    assert 's1[["calculator"]]' in mermaid(single("tool", "calculator"), STRATEGIES)


def test_no_text_of_a_workflow_can_break_out_of_its_label() -> None:
    step = Step(name="a", body=ToolCall('"]; click s1 "javascript:x"'), when='"| x\n--> <script>')
    drawn = mermaid(Workflow(name="w", root=Block(name="", strategy="sequential", steps=(step,))), STRATEGIES)
    assert "<script" not in drawn
    assert all(line.count('"') in (0, 2) for line in drawn.splitlines())


WHOLE = """\
start(["everything"])
subgraph s1_block ["gather: for each of $#123;#123; input.urls #125;#125;, at most 8 at a time"]
s1(( ))
s1_1["research"]
s1 --> s1_1
end
s2[["book"]]
subgraph s2u_block ["undo book"]
s2u(( ))
s2u_1[["unbook"]]
s2u --> s2u_1
end
s3{"sign_off<br/>approval of role:editor within 3 d"}
s4>"announce<br/>emit published"]
s5{{"settle<br/>wait 10 min"}}
s6{{"opening<br/>until $#123;#123; input.at #125;#125;"}}
s7{{"word<br/>signal go within 1 h"}}
s8[/"bill<br/>workflow invoice"/]
s9[["pay<br/>bank<br/>on queue egress<br/>at most 1 at a time of $#123;#123; input.account #125;#125;"]]
subgraph sc1_block ["catch permanent"]
sc1(( ))
sc1_1["sorry<br/>writer"]
sc1 --> sc1_1
end
subgraph sf_block ["finally"]
sf(( ))
sf_1[["notify"]]
sf --> sf_1
end
finish(["done"])
s2 -.->|"undo"| s2u
start --> s1
start --> s2
s1_1 --> s3
s2 --> s3
s3 -->|"when $#123;#123; steps.sign_off.output.approved #125;#125;"| s4
s4 --> s5
s4 --> s6
s4 --> s7
s7 --> s8
s8 --> s9
start -.->|"failure"| sc1
s5 ==> sf
s6 ==> sf
s9 ==> sf
sc1_1 ==> sf
sf_1 --> finish
"""


def test_everything_that_the_language_has_is_drawn() -> None:
    lines = [line.strip() for line in mermaid(EVERYTHING, STRATEGIES).splitlines()]
    assert lines[1:] == WHOLE.splitlines()
