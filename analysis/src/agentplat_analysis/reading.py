"""A workflow as it is written: its typed tree, and where in the file each part of it stands."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentplat import AgentplatError, UsageError
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.tree import build, build_steps
from agentplat.domain.workflow import Workflow
from agentplat.language.yaml import Document
from agentplat.language.yaml import Path as Place

if TYPE_CHECKING:
    from agentplat.plugins.registry import Registries


@dataclass(frozen=True, slots=True)
class Written:
    workflow: Workflow
    document: Document

    def place(self, path: tuple[str, ...], *keys: str) -> str:
        """`file:line` of the step with that path, or of the first of these keys that it has."""
        place: Place = ()
        value: JsonValue = self.document.value
        for name in path:
            steps = value.get("steps") if isinstance(value, dict) else None
            found = [n for n, step in enumerate(steps) if _name_of(step) == name] if isinstance(steps, list) else []
            if not isinstance(steps, list) or not found:
                continue
            place, value = (*place, "steps", found[0]), steps[found[0]]
        key = next((key for key in keys if isinstance(value, dict) and key in value), None)
        mark = self.document.mark(place) if key is None else self.document.key_mark((*place, key))
        return f"{self.document.file}:{mark.line}"


def _name_of(step: JsonValue) -> JsonValue:
    if not isinstance(step, dict):
        return None
    return next((step[key] for key in ("name", "agent", "agent_type", "tool", "workflow") if key in step), None)


def installed() -> Registries:
    """What is installed, and what the project's folder adds."""
    from agentplat.plugins.host import load_plugins
    from agentplat.plugins.project.generation import load_project
    from agentplat.plugins.selection import project_folder, read_selection

    folder = project_folder(os.environ)
    with redirect_stdout(sys.stderr):  # what foreign code prints is no result
        return load_project(folder, load_plugins(read_selection(folder, os.environ)).registries).registries


def known_workflow(registries: Registries, name: str) -> Workflow | None:
    """The installed workflow of that name as its file is now; None when there is none, or it is at fault."""
    from agentplat.engine.definitions import CatalogNames
    from agentplat.language.compiler import compile_document
    from agentplat.language.yaml import load

    try:
        file = registries.workflows.spec(name).file
        return compile_document(load(Path(file).read_bytes(), file), CatalogNames(registries))
    except (AgentplatError, OSError):
        return None


def read(registries: Registries, named: str) -> Written:
    """The workflow of that name, or of that file. Raises UnknownName, or WorkflowInvalid with all diagnostics."""
    file = Path(named) if Path(named).is_file() else Path(registries.workflows.spec(named).file)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    return written(registries, content, str(file))


def written(registries: Registries, content: str | bytes, file: str) -> Written:
    """The workflow that this document states. Raises WorkflowInvalid with all diagnostics."""
    from agentplat.engine.definitions import CatalogNames
    from agentplat.language.compiler import compile_document
    from agentplat.language.yaml import load

    document = load(content, file)
    return Written(compile_document(document, CatalogNames(registries)), document)


def as_far_as_read(registries: Registries, content: str, file: str) -> Written | None:
    """What can be built of a document with faults; None when too much is missing. WorkflowInvalid when it is no YAML.

    Every step is there; one that cannot be built does nothing.
    """
    from agentplat.engine.definitions import CatalogNames
    from agentplat.language.compiler import draft
    from agentplat.language.yaml import load

    document = load(content, file)
    try:
        return Written(build(_buildable(draft(document, CatalogNames(registries)))), document)
    except Exception:  # noqa: BLE001 - a form with holes may be anything to a tree that is made of whole ones
        return None


def _buildable(form: JsonObject) -> JsonObject:
    found = dict(form)
    for key in ("steps", "finally", "compensate"):
        if isinstance(steps := form.get(key), list):
            found[key] = [_step_or_nothing(step) for step in steps if isinstance(step, dict)]
    if isinstance(clauses := form.get("catch"), list):
        found["catch"] = [_buildable(clause) for clause in clauses if isinstance(clause, dict)]
    return found


def _step_or_nothing(step: JsonObject) -> JsonObject:
    found = _buildable(step)
    try:
        build_steps([found])
    except Exception:  # noqa: BLE001 - as above
        return {"name": step.get("name") or "", "emit": {"event": "nothing"}}
    return found
