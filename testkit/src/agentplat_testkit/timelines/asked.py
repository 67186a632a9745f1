"""What is asked of a simulation, by a command or over HTTP: a script, and then a timeline as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from agentplat import FailureCode, InputRejected, JsonObject, JsonValue, UsageError
from agentplat.domain.events import encode
from agentplat.domain.interpreter import Rules
from agentplat.domain.workflow import AgentCall, Approval, Step, ToolCall, Workflow
from agentplat.engine.rules import CatalogRules
from agentplat.engine.steps.invocation import output_schema
from agentplat.language.expressions import ExpressionEngine
from agentplat.language.schema import faults, with_defaults
from agentplat_testkit.fakes import least
from agentplat_testkit.simulation.entries import LawBroken, StepEntry
from agentplat_testkit.simulation.world import START
from agentplat_testkit.timelines.naming import strangers
from agentplat_testkit.timelines.timeline import Script, Timeline

if TYPE_CHECKING:
    from agentplat.plugins.registry import Registries

_FAIL = re.compile(r"(?P<step>[^=]+)=(?P<code>[a-z_]+)(?::(?P<times>[0-9]{1,4}))?")
_WHAT = "What is to be played"


def script_of(
    registries: Registries,
    workflow: Workflow,
    *,
    input: JsonObject,
    outputs: Mapping[str, JsonValue],
    fail: Sequence[str],
    crash: Sequence[float],
    seed: int | None,
) -> Script:
    """The script. A list among `outputs` is one output each time. InputRejected with all that does not fit."""
    wrong: list[tuple[str, str]] = []
    given = input
    if workflow.input_schema is not None:
        given = with_defaults(workflow.input_schema, input)
        wrong += [(f"/input{pointer}", reason) for pointer, reason in faults(workflow.input_schema, given)]
    failures = dict(_failures(said, f"/fail/{place}", wrong) for place, said in enumerate(fail))
    if wrong:
        raise InputRejected(_WHAT, wrong)
    return Script(
        input=given,
        outputs={step: said if isinstance(said, list) else [said] for step, said in outputs.items()},
        failures=failures,
        crashes=tuple(crash),
        seed=seed,
        default=_default_output(registries),
    )


def rules_of(registries: Registries) -> Rules:
    """By what is installed."""
    return CatalogRules(registries, ExpressionEngine())


def played(
    workflow: Workflow, script: Script, rules: Rules, broken: Callable[[Timeline], None] | None = None
) -> Timeline:
    """The timeline, to its end. When a law is broken `broken` is shown what there is.

    InputRejected where the script names steps that are not there; UsageError for a broken law.
    """
    timeline = Timeline(workflow, script, rules=rules)
    try:
        timeline.play()
    except LawBroken as error:
        if broken is not None:
            broken(timeline)
        raise UsageError(f"A law is broken, which is a fault of agentplat or of a strategy: {error}") from None
    refuse_strangers(workflow, script, timeline)
    return timeline


def refuse_strangers(workflow: Workflow, script: Script, timeline: Timeline) -> None:
    """InputRejected with all names of the script that neither the document has nor a plan has brought."""
    wrong = [
        (f"/{option}/{name.replace('~', '~0').replace('/', '~1')}" if option == "outputs" else f"/{option}", said)
        for option, named in (("outputs", script.outputs), ("fail", script.failures))
        for name, said in strangers(named, workflow, timeline.journal).items()
    ]
    if wrong:
        raise InputRejected(_WHAT, wrong)


def events_of(timeline: Timeline) -> Iterator[JsonObject]:
    """What happened, with the seconds since the beginning as `at`."""
    length = timeline.length or len(timeline.journal)  # what comes after the end was only tried
    for event, moment in zip(timeline.journal[:length], timeline.moments, strict=False):
        kind, content = encode(event)
        yield {"at": round((moment - START).total_seconds(), 3), "event": kind, **content}


def end_of(timeline: Timeline) -> JsonObject:
    """How the task ended, and what it took."""
    finished = timeline.laws.finished
    assert finished is not None
    return {
        "status": finished.status,
        "output": finished.output,
        "failure": finished.failure.to_json() if finished.failure is not None else None,
        "seconds": round(timeline.clock, 3),
        "steps": len(timeline.laws.steps),
        "attempts": sum(entry.attempt for entry in timeline.laws.steps.values()),
    }


def _failures(said: str, pointer: str, wrong: list[tuple[str, str]]) -> tuple[str, tuple[FailureCode, ...]]:
    match = _FAIL.fullmatch(said)
    known = [code.value for code in FailureCode]
    if match is None or match["code"] not in known:
        reason = f"is {said[:100]!r}: say step=code or step=code:times, with a code of {', '.join(known)}"
        wrong.append((pointer, reason))
        return "", ()
    return match["step"], (FailureCode(match["code"]),) * int(match["times"] or 1)


def _default_output(registries: Registries) -> Callable[[StepEntry], JsonValue]:
    """What a step gives that the script does not name: the least that its agent or tool may give."""

    @cache
    def of_agent(name: str) -> JsonValue:
        schema = output_schema(registries.agent(name))
        # Whoever promises nothing is an agent of a prompt alone, whose output is a text.
        return least(schema, schema) if "properties" in schema else {"result": "text"}

    @cache
    def of_tool(name: str) -> JsonValue:
        schema = output_schema(registries.tool(name))
        return least(schema, schema)

    def output(entry: StepEntry) -> JsonValue:
        body = entry.step.body if isinstance(entry.step, Step) else None
        match body:
            case AgentCall():
                return of_agent(body.agent)
            case ToolCall():
                return of_tool(body.tool)
            case Approval(form=form) if form is not None:
                return least(form, form)
            case _:
                return {}

    return output
