"""`agentplat workflows simulate`: a workflow on a clock of its own. No model is asked and no tool called."""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentplat import JsonObject, UsageError
from agentplat.runtime.cli.options import Json

if TYPE_CHECKING:
    from agentplat.domain.interpreter import Rules
    from agentplat.domain.workflow import Workflow
    from agentplat.plugins.registry import Registries
    from agentplat_testkit.timelines.timeline import Script, Timeline


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
    from agentplat_testkit.timelines.asked import played, refuse_strangers, rules_of, script_of
    from agentplat_testkit.timelines.naming import strangers
    from agentplat_testkit.timelines.timeline import Timeline

    registries = _registries()
    compiled, rules = _compiled(registries, workflow), rules_of(registries)
    script = script_of(
        registries,
        compiled,
        input=_object(input, "--input"),
        outputs=_outputs(output),
        fail=fail or (),
        crash=crash or (),
        seed=seed,
    )
    if histories is not None:
        if strangers([*script.outputs, *script.failures], compiled):  # unless a plan brings them
            refuse_strangers(compiled, script, Timeline(compiled, script, rules=rules).play())
        raise typer.Exit(_search(compiled, rules, script, histories, json_lines=json_lines))
    timeline = played(compiled, script, rules, lambda timeline: _print(timeline, json_lines=json_lines))
    _print(timeline, json_lines=json_lines)
    _say_end(timeline, json_lines=json_lines)


def _print(timeline: Timeline, *, json_lines: bool) -> None:
    from agentplat_testkit.timelines.asked import events_of
    from agentplat_testkit.timelines.words import words_of

    for event, told in zip(timeline.journal, events_of(timeline), strict=False):
        if json_lines:
            typer.echo(json.dumps(told, ensure_ascii=False))
        elif (words := words_of(event)) is not None:
            typer.echo(f"{told['at']:9.1f}s  {words}")


def _say_end(timeline: Timeline, *, json_lines: bool) -> None:
    from agentplat_testkit.timelines.asked import end_of

    end = end_of(timeline)
    if json_lines:
        typer.echo(json.dumps(end, ensure_ascii=False))
        return
    typer.echo(f"{end['status']} after {timeline.clock:.1f}s: {end['steps']} steps, {end['attempts']} attempts")
    if end["failure"] is None:
        typer.echo(json.dumps(end["output"], indent=2, ensure_ascii=False))


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


def _outputs(file: Path | None) -> JsonObject:
    if file is None:
        return {}
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    return _object(text, str(file))


def _object(text: str, place: str) -> JsonObject:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{place} is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise UsageError(f"{place} has to be a JSON object, such as {{}}; it is {type(value).__name__}.")
    return value


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
