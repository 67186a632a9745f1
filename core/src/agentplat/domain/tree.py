"""The typed tree of a workflow, from its normal form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from agentplat.domain.json import JsonObject
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.workflow import (
    CATCH,
    COMPENSATE,
    FINALLY,
    FOREACH,
    ITEM,
    SINGLE,
    AgentCall,
    Approval,
    Block,
    Body,
    Catch,
    Concurrency,
    Dispatch,
    Emit,
    ForEach,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)


def build(normalised: JsonObject) -> Workflow:
    """The workflow of a normal form, as `normalise` gave it and the database kept it. Nothing is checked again."""
    form: Mapping[str, Any] = normalised
    return Workflow(
        name=form["name"],
        description=form.get("description", ""),
        version=form.get("version"),
        input_schema=form.get("input"),
        output=form.get("output"),
        deadline=_seconds(form.get("deadline")),
        budget=form.get("budget", {}),
        schedule=form.get("schedule"),
        root=_block({key: form[key] for key in form if key not in ("name", "description", "input")} | {"name": ""}),
    )


def build_steps(forms: Sequence[JsonObject]) -> tuple[Step | Block, ...]:
    """The steps of such a form."""
    return tuple(_node(form) for form in forms)


def _node(form: Mapping[str, Any]) -> Step | Block:
    if "foreach" not in form:
        return _block(form) if "steps" in form else _step(form)
    of_all = ("name", "when", "needs", "step_options", "description")
    inner = {key: value for key, value in form.items() if key not in (*of_all, "foreach")}
    common = _common({key: form[key] for key in of_all if key in form})
    return Block(**common, strategy=FOREACH, steps=(_node(inner | {"name": ITEM}),), foreach=ForEach(**form["foreach"]))


def _handler(name: str, forms: Sequence[JsonObject]) -> Block:
    return Block(name=name, strategy="sequential" if len(forms) > 1 else SINGLE, steps=build_steps(forms))


def _block(form: Mapping[str, Any]) -> Block:
    return Block(
        **_common(form),
        strategy=form["strategy"],
        steps=build_steps(form["steps"]),
        max_iterations=form["max_iterations"],
        convergence_check=form.get("convergence_check"),
        until=form.get("until"),
        options=form.get("options", {}),
        catch=tuple(
            Catch(frozenset(clause["on"]), _handler(CATCH if number == 1 else f"{CATCH}_{number}", clause["steps"]))
            for number, clause in enumerate(form.get("catch", ()), start=1)
        ),
        final=_handler(FINALLY, form["finally"]) if "finally" in form else None,
        timeout=_seconds(form.get("timeout")),
    )


def _step(form: Mapping[str, Any]) -> Step:
    calls: dict[str, Any] = {}
    if "retry" in form:
        calls = {"retry": _retry(form["retry"])}
        if "workflow" not in form:
            calls["timeout"] = timedelta(seconds=form["timeout"])
        if "queue" in form or "concurrency" in form:
            limit = form.get("concurrency")
            concurrency = None if limit is None else Concurrency(limit["key"], limit["limit"])
            calls["dispatch"] = Dispatch(queue=form.get("queue"), concurrency=concurrency)
    return Step(body=_body(form), **_common(form), **calls)


def _common(form: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": form["name"],
        "description": form.get("description", ""),
        "input": form.get("input"),
        "when": form.get("when"),
        "needs": tuple(form.get("needs", ())),
        "step_options": form.get("step_options", {}),
        "compensate": _handler(COMPENSATE, form["compensate"]) if "compensate" in form else None,
    }


def _body(form: Mapping[str, Any]) -> Body:
    if "agent" in form:
        return AgentCall(form["agent"], form.get("model"))
    if "tool" in form:
        return ToolCall(form["tool"])
    if "workflow" in form:
        return WorkflowCall(form["workflow"], _seconds(form.get("timeout")))
    if "emit" in form:
        return Emit(event=form["emit"]["event"], payload=form["emit"].get("data"))
    if "approval" in form:
        return Approval(**{**form["approval"], "timeout": _seconds(form["approval"].get("timeout"))})
    wait = form["wait"]
    if "duration" in wait:
        return TimerWait(timedelta(seconds=wait["duration"]))
    return UntilWait(wait["until"]) if "until" in wait else SignalWait(wait["signal"], _seconds(wait.get("timeout")))


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)


def _retry(form: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=form["max_attempts"],
        backoff=form["backoff"],
        initial=timedelta(seconds=form["initial"]),
        max=timedelta(seconds=form["max"]),
        on=frozenset(form["on"]),
    )
