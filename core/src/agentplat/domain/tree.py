"""The typed tree of a workflow, from its normal form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from agentplat.domain.json import JsonObject
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.workflow import AgentCall, Block, Body, SignalWait, Step, TimerWait, ToolCall, Workflow


def build(normalised: JsonObject) -> Workflow:
    """The workflow of a normal form, as `normalise` gave it and the database kept it. Nothing is checked again."""
    form: Mapping[str, Any] = normalised
    deadline = form.get("deadline")
    return Workflow(
        name=form["name"],
        description=form.get("description", ""),
        version=form.get("version"),
        input_schema=form.get("input"),
        output=form.get("output"),
        deadline=None if deadline is None else timedelta(seconds=deadline),
        root=_block({key: form[key] for key in form if key not in ("name", "description", "input")} | {"name": ""}),
    )


def build_steps(forms: Sequence[JsonObject]) -> tuple[Step | Block, ...]:
    """The steps of such a form."""
    return tuple(_node(form) for form in forms)


def _node(form: Mapping[str, Any]) -> Step | Block:
    return _block(form) if "steps" in form else _step(form)


def _block(form: Mapping[str, Any]) -> Block:
    return Block(
        **_common(form),
        strategy=form["strategy"],
        steps=build_steps(form["steps"]),
        max_iterations=form["max_iterations"],
        convergence_check=form.get("convergence_check"),
        until=form.get("until"),
        options=form.get("options", {}),
    )


def _step(form: Mapping[str, Any]) -> Step:
    calls: dict[str, Any] = {}
    if "wait" not in form:
        calls = {"retry": _retry(form["retry"]), "timeout": timedelta(seconds=form["timeout"])}
    return Step(body=_body(form), **_common(form), **calls)


def _common(form: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": form["name"],
        "description": form.get("description", ""),
        "input": form.get("input"),
        "when": form.get("when"),
        "needs": tuple(form.get("needs", ())),
        "step_options": form.get("step_options", {}),
    }


def _body(form: Mapping[str, Any]) -> Body:
    if "agent" in form:
        return AgentCall(form["agent"])
    if "tool" in form:
        return ToolCall(form["tool"])
    wait = form["wait"]
    if "duration" in wait:
        return TimerWait(timedelta(seconds=wait["duration"]))
    timeout = wait.get("timeout")
    return SignalWait(wait["signal"], None if timeout is None else timedelta(seconds=timeout))


def _retry(form: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=form["max_attempts"],
        backoff=form["backoff"],
        initial=timedelta(seconds=form["initial"]),
        max=timedelta(seconds=form["max"]),
        on=frozenset(form["on"]),
    )
