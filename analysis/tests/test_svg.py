"""Pictures: well-formed, harmless, the same each time, with nothing on top of anything else."""

from __future__ import annotations

import time
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from agentplat_analysis.picture.drawing import Group, Node, draw
from agentplat_analysis.picture.layout import Box, edges_of, laid_out, shortened
from agentplat_analysis.picture.svg import svg
from agentplat_analysis.reading import installed

from agentplat.domain.workflow import Block, Step, ToolCall, Workflow

from .conftest import Compiler
from .everything import EVERYTHING, large_dag

STRATEGIES = installed().strategy
NAMESPACE = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(picture).iter(f"{NAMESPACE}text")]


def test_every_step_stands_in_the_picture_and_every_edge() -> None:
    picture = svg(EVERYTHING, STRATEGIES)
    shown = set(texts(picture))
    assert {"everything", "research", "book", "unbook", "sign_off", "emit published", "sorry", "notify"} <= shown
    assert {"finally", "catch permanent", "undo book", "signal go within 1 h", "wait 10 min"} <= shown
    assert {"bill", "workflow invoice", "bank", "on queue egress"} <= shown
    paths = [path for path in ET.fromstring(picture).iter(f"{NAMESPACE}path") if "edge" in path.get("class", "")]
    assert len(paths) == len(list(edges_of(draw(EVERYTHING, STRATEGIES))))


def test_the_same_workflow_gives_the_same_picture() -> None:
    assert svg(EVERYTHING, STRATEGIES) == svg(EVERYTHING, STRATEGIES)
    assert svg(large_dag(60), STRATEGIES) == svg(large_dag(60), STRATEGIES)


def test_nothing_in_it_runs_or_leads_elsewhere() -> None:
    elements = {element.tag.removeprefix(NAMESPACE) for element in ET.fromstring(svg(EVERYTHING, STRATEGIES)).iter()}
    assert elements <= {"svg", "title", "style", "defs", "marker", "path", "rect", "text", "circle", "polygon"}
    assert "href" not in svg(EVERYTHING, STRATEGIES)


@pytest.mark.parametrize(
    "text", ["</text><script>alert(1)</script>", "a&b", '" onload="x', "\x00\x1b[31m", "\u2028", "]]>"]
)
def test_no_text_of_a_workflow_becomes_markup(text: str) -> None:
    step = Step(name=text, body=ToolCall("tool"), when=text)
    inner = Block(name=text, strategy=text, steps=(step, step), max_iterations=2, until=text)
    picture = svg(Workflow(name=text, root=Block(name="", strategy="sequential", steps=(inner,))), STRATEGIES)
    root = ET.fromstring(picture)
    assert not list(root.iter(f"{NAMESPACE}script"))
    assert all(name in ("class", "x", "y") for each in root.iter(f"{NAMESPACE}text") for name in each.attrib)


def test_a_text_that_is_too_long_is_cut_and_can_be_read_by_pointing_at_it() -> None:
    name = "x" * 60
    picture = svg(
        Workflow(name="w", root=Block(name="", strategy="sequential", steps=(Step(name=name, body=ToolCall("t")),))),
        STRATEGIES,
    )
    assert f"<title>{name}</title>" in picture
    assert "x" * 41 + "…<title>" in picture


@pytest.mark.parametrize("workflow", [EVERYTHING, large_dag(60)], ids=["everything", "large"])
def test_boxes_of_one_group_do_not_touch_and_stay_inside_of_it(workflow: Workflow) -> None:
    def check(box: Box) -> None:
        for one, other in combinations(box.inside, 2):
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart_x or one.y + one.height <= other.y or other.y + other.height <= one.y
        for inner in box.inside:
            assert box.x <= inner.x
            assert inner.x + inner.width <= box.x + box.width
            assert box.y <= inner.y
            assert inner.y + inner.height <= box.y + box.height
            check(inner)

    check(laid_out(draw(workflow, STRATEGIES)))


def test_a_step_stands_below_all_that_it_needs() -> None:
    workflow = large_dag(60)
    places = {
        box.of.lines[0]: box
        for box in laid_out(draw(workflow, STRATEGIES)).all()
        if isinstance(box.of, Node) and box.of.lines
    }
    for step in workflow.root.steps:
        assert all(places[need].y < places[step.name].y for need in step.needs)


def test_a_dag_of_200_steps_is_drawn_within_a_second() -> None:
    workflow = large_dag(200)
    started = time.perf_counter()
    picture = svg(workflow, STRATEGIES)
    took = time.perf_counter() - started
    assert took < 1, f"{took:.2f} s"
    assert len(texts(picture)) == 202
    assert isinstance(draw(workflow, STRATEGIES), Group)


def test_a_dag_of_200_steps_is_read_and_compiled_within_a_second(compiler: Compiler) -> None:
    steps = large_dag(200).root.steps
    lines = [f"  - {{name: {step.name}, tool: calculator, needs: [{', '.join(step.needs)}]}}" for step in steps]
    text = "\n".join(["name: large", "strategy: dag", "steps:", *lines])
    started = time.perf_counter()
    compiled = compiler.compile(text)
    took = time.perf_counter() - started
    assert took < 1, f"{took:.2f} s"
    assert [step.needs for step in compiled.root.steps] == [step.needs for step in steps]


@pytest.mark.parametrize("strategy", ["supervisor", "plan_execute", "iterative_refinement"])
def test_what_leads_back_and_what_is_written_on_it_is_inside_of_the_picture(strategy: str) -> None:
    steps = (Step(name="a", body=ToolCall("t")), Step(name="b", body=ToolCall("t")))
    root = Block(name="", strategy=strategy, steps=steps, max_iterations=3, until="steps.a.output.is_good_enough")
    picture = ET.fromstring(svg(Workflow(name="w", root=root), STRATEGIES))
    width = float(picture.get("width", "0"))
    for path in picture.iter(f"{NAMESPACE}path"):
        if "again" in path.get("class", ""):
            assert all(float(x) <= width for x in path.get("d", "").replace("M", "").replace("C", " ").split()[::2])
    for text in picture.iter(f"{NAMESPACE}text"):
        wide = 6.0 * len(shortened("".join(text.itertext()).partition("…")[0]))  # of small letters
        left = float(text.get("x", "0")) - (0 if "beside" in text.get("class", "") else wide / 2)
        assert 0 <= left <= left + wide <= width
