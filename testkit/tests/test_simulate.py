"""What `agentplat workflows simulate` tells of a workflow that nobody has ever run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentplat import UsageError
from agentplat.runtime.cli.main import run_command

REVIEW = """
name: review
input: {topic: string}
strategy: dag
steps:
  - {name: gather, agent: finder, retry: {max_attempts: 3, initial: 2s, max: 8s}}
  - name: settle
    needs: [gather]
    strategy: vote
    samples: 3
    steps: [{name: judge, agent: critic}]
  - {name: sign, needs: [gather], wait: {signal: approve, timeout: 1h}}
  - {name: last, needs: [settle, sign], agent: writer, when: "${{ steps.settle.output.votes > 1 }}"}
"""
ORDERS = """
name: orders
steps:
  - name: each
    workflow: review
    foreach: [ants, bees]
    input: {topic: "${{ item }}"}
    retry: {max_attempts: 2, initial: 2s, max: 2s}
    timeout: 1h
  - {name: ship, tool: calculator, input: {expression: "1 + 1"}, queue: far, concurrency: {key: all, limit: 1}}
"""
AGENTS = """
agents:
  - {name: finder, prompt: "Find ${{ input.topic }}", output: {found: string}}
  - {name: critic, prompt: "Judge"}
  - {name: writer, prompt: "Write", output: {text: string}}
"""
Simulate = Callable[..., list[str]]


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simulate:
    """Simulates the workflow `review`; the lines that are printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "review.yaml").write_text(REVIEW, encoding="utf-8")
    (tmp_path / "workflows" / "orders.yaml").write_text(ORDERS, encoding="utf-8")
    (tmp_path / "agents.yaml").write_text(AGENTS, encoding="utf-8")

    def simulated(*arguments: str, code: int = 0, workflow: str = "review") -> list[str]:
        asked = ["workflows", "simulate", workflow, "--input", '{"topic": "bees"}', *arguments]
        with pytest.raises(SystemExit) as ended:
            run_command(asked)
        assert ended.value.code == code
        return capsys.readouterr().out.splitlines()

    return simulated


def lines(printed: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed]


def test_the_timeline_says_who_starts_when_and_how_it_ends(simulate: Simulate) -> None:
    told = simulate()
    assert any(line.endswith('1.0s  gather done {"found": "text"}') for line in told)
    assert any("2.0s  settle has enough, and cancels the rest" in line for line in told)
    assert any("1.0s  sign waits for signal approve, at most 3600.0s" in line for line in told)
    assert "done after 3.0s: 6 steps, 6 attempts" in told


def test_a_failure_on_demand_is_tried_again_after_its_delay(simulate: Simulate) -> None:
    told = lines(simulate("--fail", "gather=timeout:2", "--json"))
    retries = [(line["at"], line["delay"]) for line in told if line.get("event") == "retry_scheduled"]
    assert retries == [(1.0, 2.0), (4.0, 4.0)]
    assert told[-1]["status"] == "done"
    assert told[-1]["seconds"] == 11.0


def test_a_failure_that_is_not_tried_again_ends_the_task(simulate: Simulate) -> None:
    end = lines(simulate("--fail", "gather=refused", "--json"))[-1]
    assert end["status"] == "error"
    assert end["failure"]["code"] == "refused"


def test_outputs_come_from_a_file_one_each_time(simulate: Simulate, tmp_path: Path) -> None:
    (tmp_path / "said.json").write_text('{"judge": ["yes", "no", "yes"], "last": {"text": "fin"}}', encoding="utf-8")
    end = lines(simulate("--output", "said.json", "--json"))[-1]
    assert end["output"] == {"text": "fin"}
    (tmp_path / "said.json").write_text('{"settle/judge": ["a", "b", "c"]}', encoding="utf-8")
    end = lines(simulate("--output", "said.json", "--json"))[-1]
    assert "No answer has more than half" in end["failure"]["message"]


def test_a_worker_that_dies_costs_an_attempt_and_nothing_else(simulate: Simulate) -> None:
    calm, crashed = simulate()[-3:], simulate("--crash", "1.5")
    assert any("1.5s  the worker is gone, worker-2 goes on" in line for line in crashed)
    assert crashed[-3:] == calm


def test_the_same_seed_is_the_same_luck(simulate: Simulate) -> None:
    first, again, other = (simulate("--seed", seed, "--json") for seed in ("1", "1", "2"))
    assert first == again
    assert first != other


def test_many_histories_are_held_to_the_laws(simulate: Simulate) -> None:
    (line,) = lines(simulate("--histories", "50", "--json"))
    assert line["histories"] == 50
    assert line["law"] is None
    assert sum(line["ends"].values()) == 50
    assert "50 histories," in simulate("--histories", "50")[0]


@pytest.mark.usefixtures("simulate")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--fail", "gather"), "say step=code"),
        (("--fail", "gather=slow"), "with a code of rate_limited"),
        (("--output", "nowhere.json"), "cannot be read"),
        (("--input", "[]"), "has to be a JSON object"),
        (("--input", "{}"), "/topic is missing"),
        (("--input", "{"), "is no JSON"),
    ],
)
def test_what_cannot_be_simulated_is_said(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run_command(["workflows", "simulate", "review", "--input", '{"topic": "bees"}', *arguments])


@pytest.mark.usefixtures("simulate")
@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("gathr", r"no step `gathr`; did you mean `gather`\?"),
        ("settle/juge", r"no step `settle/juge`; did you mean `settle/judge`\?"),
        ("last/judge", r"no step `last/judge`"),
        ("settle", r"the block `settle`, which ends as its steps do; name one of them: `settle/judge`"),
    ],
)
def test_a_step_that_does_not_exist_is_not_told_anything(tmp_path: Path, named: str, says: str) -> None:
    (tmp_path / "said.json").write_text(json.dumps({named: 1}), encoding="utf-8")
    for option in (("--fail", f"{named}=refused"), ("--output", "said.json")):
        for more in ((), ("--histories", "2")):
            asked = ["workflows", "simulate", "review", "--input", '{"topic": "bees"}', *option, *more]
            with pytest.raises(UsageError, match=says):
                run_command(asked)


PLANS = """
name: review
strategy: plan_execute
max_iterations: 2
steps: [{name: plan, agent: writer}]
"""


def test_a_step_that_only_a_plan_brings_may_be_told_something(simulate: Simulate, tmp_path: Path) -> None:
    (tmp_path / "workflows" / "review.yaml").write_text(PLANS, encoding="utf-8")
    plan = [{"name": "look", "agent": "writer"}]
    (tmp_path / "said.json").write_text(json.dumps({"plan": [plan, []], "look": {"text": "bees"}}), encoding="utf-8")
    assert '"bees"' in "\n".join(simulate("--output", "said.json"))
    assert "histories" in simulate("--output", "said.json", "--histories", "5")[0]
    with pytest.raises(UsageError, match=r"no step `lok`; did you mean `look`"):
        run_command(["workflows", "simulate", "review", "--output", "said.json", "--fail", "lok=refused"])


LIMITED = """
name: review
strategy: parallel
steps:
  - {name: a, tool: calculator, input: {expression: "1"}, concurrency: {key: one, limit: 1}}
  - {name: b, tool: calculator, input: {expression: "1"}, concurrency: {key: one, limit: 1}}
  - {name: c, tool: calculator, input: {expression: "1"}, concurrency: {key: other, limit: 1}}
  - name: each
    foreach: [1, 2, 3, 4, 5]
    tool: calculator
    input: {expression: "1"}
    concurrency: {key: many, limit: 2}
"""


def ends(printed: list[str]) -> dict[str, float]:
    """When each step was done."""
    told = lines(printed)
    return {line["path"]: line["at"] for line in told if line.get("event") == "step_succeeded"}


def test_of_steps_with_one_concurrency_key_no_more_than_the_limit_are_worked_on(
    simulate: Simulate, tmp_path: Path
) -> None:
    (tmp_path / "workflows" / "review.yaml").write_text(LIMITED, encoding="utf-8")
    assert ends(simulate("--json")) == {
        "a": 1.0,
        "b": 2.0,
        "c": 1.0,
        "each[0]": 1.0,
        "each[1]": 1.0,
        "each[2]": 2.0,
        "each[3]": 2.0,
        "each[4]": 3.0,
    }
    # A failed one makes room while it waits to be tried again, and a crash of the owner costs none of them anything.
    done = ends(simulate("--json", "--fail", "a=unavailable", "--crash", "0.5"))
    assert done["b"] == 2.0
    assert done["a"] > 2.0
    assert ends(simulate("--json", "--seed", "4"))


@pytest.mark.parametrize(("timeout", "at"), [("500ms", "0.5s"), ("1500ms", "1.5s")])
def test_a_workflow_that_waits_for_its_turn_has_less_time_left(
    simulate: Simulate, tmp_path: Path, timeout: str, at: str
) -> None:
    text = f"""
name: queue
strategy: parallel
join: settled
steps:
  - {{name: first, agent: writer, queue: far, concurrency: {{key: one, limit: 1}}}}
  - {{name: late, workflow: review, input: {{topic: x}}, timeout: {timeout}, concurrency: {{key: one, limit: 1}}}}
"""
    (tmp_path / "workflows" / "queue.yaml").write_text(text, encoding="utf-8")
    told = simulate(workflow="queue")
    assert any(f"{at}  late failed: timeout" in line for line in told)
    assert any("1.0s  first done" in line for line in told)


def test_the_command_stands_beside_the_others_of_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(["workflows", "--help"])
    assert "\n  simulate  Play a workflow with scripted" in capsys.readouterr().out


WHOLE = """
name: whole
input: {topics: array}
steps:
  - {name: hello, emit: {event: begun, data: {many: "${{ input.topics | length }}"}}}
  - {name: each, foreach: "${{ input.topics }}", max_parallel: 2, agent: finder}
  - name: fragile
    steps: [{name: doomed, agent: writer, retry: {max_attempts: 1}}]
    catch: [{on: [permanent], steps: [{name: mend, agent: critic}]}]
  - name: slow
    timeout: 5s
    steps: [{name: never, wait: {duration: 1h}}]
    catch: [{on: timeout, steps: [{name: late, agent: writer}]}]
  - {name: soon, wait: {until: "2026-01-01T00:01:00Z"}}
  - {name: sign, approval: {message: May I?, form: {comment: string}}}
  - {name: book, agent: writer, compensate: {agent: critic}}
finally:
  - {name: tidy, agent: critic}
output: {each: "${{ steps.each.output }}", signed: "${{ steps.sign.output }}"}
"""


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simulate:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whole.yaml").write_text(WHOLE, encoding="utf-8")
    (tmp_path / "agents.yaml").write_text(AGENTS, encoding="utf-8")

    def simulated(*arguments: str) -> list[str]:
        with pytest.raises(SystemExit) as ended:
            run_command(["workflows", "simulate", "whole.yaml", "--input", '{"topics": ["a", "b", "c"]}', *arguments])
        assert ended.value.code == 0
        return capsys.readouterr().out.splitlines()

    return simulated


def test_everything_that_the_language_has_takes_its_time(whole: Simulate, tmp_path: Path) -> None:
    said = {"each": [{"found": 1}, {"found": 2}, {"found": 3}], "sign": {"approved": False, "comment": "no"}}
    (tmp_path / "said.json").write_text(json.dumps(said), encoding="utf-8")
    told = "\n".join(whole("--output", "said.json", "--fail", "doomed=refused"))
    for line in (
        '0.0s  hello emits begun {"many": 3}',
        "2.0s  each done ",
        "3.0s  fragile catches it, by clause 1: it was told to fail",
        "9.0s  slow catches it, by clause 1: ",
        "10.0s  soon waits until 2026-01-01T00:01:00",
        "60.0s  soon: time is up",
        "60.0s  sign waits for an approval: May I?",
        "61.0s  sign rejected by somebody",
        "the task succeeded, and ends what it has to",
        "done after 63.0s",
        '"comment": "no"',
    ):
        assert line in told, f"{line}\n{told}"


def test_what_was_done_is_undone_when_the_end_fails(whole: Simulate) -> None:
    told = lines(whole("--json", "--fail", "doomed=refused", "--fail", "@finally/tidy=refused:3"))
    assert told[-1]["status"] == "error"


def test_random_lives_of_everything_keep_the_laws(whole: Simulate) -> None:
    (line,) = lines(whole("--histories", "60", "--json"))
    assert line["law"] is None
    assert set(line["ends"]) == {"done", "error", "cancelled"}


def test_what_is_a_task_of_its_own_is_a_step_whose_end_the_script_says(simulate: Simulate, tmp_path: Path) -> None:
    said = tmp_path / "said.json"
    said.write_text('{"each": [{"n": 1}, {"n": 2}], "ship": {"result": 3}}', encoding="utf-8")

    printed = simulate("--output", str(said), "--crash", "0.5", "--fail", "each=unavailable", workflow="orders")

    assert 'each[0] is dispatched {"topic": "ants"}' in printed[2]
    assert [line.split("s  ")[1] for line in printed if "worker is gone" in line] == [
        "the worker is gone, worker-2 goes on"
    ]
    assert sum("is dispatched" in line for line in printed) == 5, "each try is a task, and a crash makes none"
    assert any("each[0] is dispatched again, attempt 2" in line for line in printed)
    assert any('ship is dispatched to queue far with key all {"expression": "1 + 1"}' in line for line in printed)
    assert any(line.startswith("done after") for line in printed)


def test_random_histories_of_children_keep_the_laws(simulate: Simulate) -> None:
    assert "histories" in simulate("--histories", "60", "--seed", "7", workflow="orders")[0]


CHAT = """
name: chat
strategy: group_chat
max_turns: 6
until: ${{ steps.second.output.done }}
steps: [{name: first, agent: writer}, {name: second, agent: critic}]
"""


def test_until_does_not_hold_while_a_step_that_it_names_has_not_spoken(simulate: Simulate, tmp_path: Path) -> None:
    (tmp_path / "workflows" / "review.yaml").write_text(CHAT.replace("chat\n", "review\n", 1))
    (tmp_path / "said.json").write_text('{"first": {"text": "x"}, "second": [{"done": false}, {"done": true}]}')
    told = "\n".join(simulate("--output", "said.json"))
    assert '"status": "completed_converged"' in told
    assert '"turns": 4' in told
    # What a step that has spoken does not say is a mistake, as ever.
    (tmp_path / "said.json").write_text('{"first": {"text": "x"}, "second": {"finished": true}}')
    assert "`steps.second.output.done` is not defined" in "\n".join(simulate("--output", "said.json"))
