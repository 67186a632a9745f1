"""`agentplat workflows simulate`: a workflow on a clock of its own. No model is asked and no tool called."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentplat import FailureCode, JsonObject, JsonValue, UsageError
from agentplat.runtime.cli.options import Json

if TYPE_CHECKING:
    from agentplat.domain.interpreter import Rules
    from agentplat.domain.workflow import Workflow
    from agentplat.plugins.registry import Registries
    from agentplat_testkit.simulation.entries import StepEntry
    from agentplat_testkit.timelines.timeline import Script, Timeline

_FAIL = re.compile(r"(?P<step>[^=]+)=(?P<code>[a-z_]+)(?::(?P<times>[0-9]+))?")


def simulate(
    workflow: Annotated[str, typer.Argument(help="A workflow's name, or a file.")],
    input: Annotated[str, typer.Option(help="The task's input: a JSON object.")] = "{}",
    output: Annotated[
        Path | None, typer.Option(help="A JSON file: what steps give, by name or path; a list is one each time.")
    ] = None,
    fail: Annotated[
        list[str] | None, typer.Option(help="step=code: its first try fails so; step=code:3, its first three.")
    ] = None,
    crash: Annotated[list[float] | None, typer.Option(help="The worker dies after so many seconds.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Draws durations and failures; the same seed, the same luck.")
    ] = None,
    histories: Annotated[
        int | None, typer.Option(min=1, help="Play so many random histories instead, and hold them to the laws.")
    ] = None,
    json_lines: Json = False,
) -> None:
    """Play a workflow: who starts when, what fails and is tried again, and how it ends."""
    from agentplat.engine.rules import CatalogRules
    from agentplat.language.expressions import ExpressionEngine

    registries = _registries()
    compiled = _compiled(registries, workflow)
    rules = CatalogRules(registries, ExpressionEngine())
    script = _script(registries, compiled, input=input, output=output, fail=fail or (), crash=crash or (), seed=seed)
    from agentplat_testkit.simulation.entries import LawBroken
    from agentplat_testkit.timelines.naming import refuse_strangers, strangers
    from agentplat_testkit.timelines.timeline import Timeline

    timeline = Timeline(compiled, script, rules=rules)
    if histories is not None:
        if strangers(script.named, compiled):  # unless a plan brings them
            refuse_strangers(script.named, compiled, timeline.play().journal)
        raise typer.Exit(_search(compiled, rules, script, histories, json_lines=json_lines))
    try:
        timeline.play()
    except LawBroken as broken:
        _print(timeline, json_lines=json_lines)
        raise UsageError(f"A law is broken, which is a fault of agentplat or of a strategy: {broken}") from None
    refuse_strangers(script.named, compiled, timeline.journal)
    _print(timeline, json_lines=json_lines)
    _say_end(timeline, json_lines=json_lines)


def _print(timeline: Timeline, *, json_lines: bool) -> None:
    from agentplat.domain.events import encode
    from agentplat_testkit.simulation.world import START
    from agentplat_testkit.timelines.words import words_of

    length = timeline.length or len(timeline.journal)  # what comes after the end was only tried
    for event, moment in zip(timeline.journal[:length], timeline.moments, strict=False):
        at = round((moment - START).total_seconds(), 3)
        if json_lines:
            kind, content = encode(event)
            typer.echo(json.dumps({"at": at, "event": kind, **content}, ensure_ascii=False))
        elif (words := words_of(event)) is not None:
            typer.echo(f"{at:9.1f}s  {words}")


def _say_end(timeline: Timeline, *, json_lines: bool) -> None:
    finished = timeline.laws.finished
    assert finished is not None
    tries = sum(entry.attempt for entry in timeline.laws.steps.values())
    counts: dict[str, Any] = {"seconds": round(timeline.clock, 3), "steps": len(timeline.laws.steps), "attempts": tries}
    failure = finished.failure.to_json() if finished.failure is not None else None
    if json_lines:
        line = {"status": finished.status, "output": finished.output, "failure": failure, **counts}
        typer.echo(json.dumps(line, ensure_ascii=False))
        return
    typer.echo(f"{finished.status} after {timeline.clock:.1f}s: {counts['steps']} steps, {tries} attempts")
    if finished.failure is None:
        typer.echo(json.dumps(finished.output, indent=2, ensure_ascii=False))


def _search(workflow: Workflow, rules: Rules, script: Script, count: int, *, json_lines: bool) -> int:
    """The exit code after so many random histories of one workflow: 1 when one breaks a law."""
    from agentplat_testkit.timelines.random_plays import play_many

    found = play_many(workflow, rules, script, count)
    if json_lines:
        line = {"histories": found.histories, "seconds": round(found.seconds, 3), "ends": found.ends}
        typer.echo(json.dumps({**line, "law": found.broken.law if found.broken is not None else None}))
    else:
        ends = ", ".join(f"{many} {status}" for status, many in sorted(found.ends.items()))
        typer.echo(f"{found.histories} histories, {found.rate:.0f} a second: {ends}")
        if found.broken is not None:
            typer.echo(f"A law is broken: {found.broken.law}\n{found.broken.trace}")
    return 0 if found.broken is None else 1


# --- What is asked for -----------------------------------------------------------------------------------------------


def _script(
    registries: Registries,
    workflow: Workflow,
    *,
    input: str,
    output: Path | None,
    fail: Sequence[str],
    crash: Sequence[float],
    seed: int | None,
) -> Script:
    from agentplat.language.schema import faults, with_defaults
    from agentplat_testkit.timelines.timeline import Script

    given = _object(input, "--input")
    if workflow.input_schema is not None:
        given = with_defaults(workflow.input_schema, given)
        wrong = faults(workflow.input_schema, given)
        if wrong:
            pointer, reason = wrong[0]
            raise UsageError(f"The input does not fit the workflow: {pointer or '/'} {reason}. Say it with --input.")
    return Script(
        input=given,
        outputs=_outputs(output),
        failures=dict(map(_failures, fail)),
        crashes=tuple(crash),
        seed=seed,
        default=_default_output(registries),
    )


def _failures(said: str) -> tuple[str, tuple[FailureCode, ...]]:
    match = _FAIL.fullmatch(said)
    known = [code.value for code in FailureCode]
    if match is None or match["code"] not in known:
        raise UsageError(f"--fail {said}: say step=code or step=code:times, with a code of {', '.join(known)}.")
    return match["step"], (FailureCode(match["code"]),) * int(match["times"] or 1)


def _outputs(file: Path | None) -> Mapping[str, Sequence[JsonValue]]:
    if file is None:
        return {}
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    said = _object(text, str(file))
    return {step: outputs if isinstance(outputs, list) else [outputs] for step, outputs in said.items()}


def _object(text: str, place: str) -> JsonObject:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{place} is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise UsageError(f"{place} has to be a JSON object, such as {{}}; it is {type(value).__name__}.")
    return value


def _default_output(registries: Registries) -> Callable[[StepEntry], JsonValue]:
    """What a step gives that the script does not name: the least that its agent or tool may give."""
    from agentplat.domain.workflow import AgentCall, Approval, Step, ToolCall
    from agentplat.engine.steps.invocation import output_schema
    from agentplat_testkit.fakes import least

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


def _registries() -> Registries:
    from agentplat.plugins.host import load_plugins
    from agentplat.plugins.project.generation import load_project
    from agentplat.plugins.selection import project_folder, read_selection

    folder = project_folder(os.environ)
    with redirect_stdout(sys.stderr):  # what foreign code prints is no result
        return load_project(folder, load_plugins(read_selection(folder, os.environ)).registries).registries


def _compiled(registries: Registries, workflow: str) -> Workflow:
    from agentplat.engine.definitions import CatalogNames
    from agentplat.language.compiler import compile_document
    from agentplat.language.yaml import load

    file = Path(workflow)
    if not file.is_file():
        file = Path(registries.workflows.spec(workflow).file)
    return compile_document(load(file.read_bytes(), str(file)), CatalogNames(registries))
