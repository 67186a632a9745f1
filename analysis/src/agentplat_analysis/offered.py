"""The analyses as the server calls them: over what is installed, of a document or of what a task was given."""

from __future__ import annotations

import re

from agentplat import JsonValue, Subject, WorkflowInvalid
from agentplat.domain.workflow import Workflow
from agentplat.language.diagnostics import MOST
from agentplat.plugins.registry import Registries
from agentplat.runtime.settings import load_settings
from agentplat_analysis.bounds import bounds_of
from agentplat_analysis.checks import check as checked
from agentplat_analysis.knowledge import Installation, InstalledSchemas
from agentplat_analysis.picture.mermaid import mermaid
from agentplat_analysis.picture.svg import svg
from agentplat_analysis.reading import Written, as_far_as_read, written
from agentplat_analysis.report import as_json
from agentplat_analysis.schema.document import schema_of
from agentplat_analysis.schema.installed import offers_of

_PLACE = re.compile(r":(\d+):(\d+): ")


def bounds(registries: Registries, subject: Subject) -> JsonValue:
    """As `workflows bounds --json`. Places are known where the document is."""
    settings = load_settings()
    read = _read(registries, subject)
    found = bounds_of(_workflow(read), Installation(registries, settings.model, settings.prices))
    return as_json(found, read)


def check(registries: Registries, subject: Subject) -> JsonValue:
    """The diagnostics, line by line; of a document that does not compile, those of the compiler are among them."""
    if subject.text is None:
        return []
    try:
        read = written(registries, subject.text, subject.file)
    except WorkflowInvalid as invalid:
        more = _beside_faults(registries, subject.text, subject.file) if len(invalid.diagnostics) <= MOST else []
        return [*sorted({*invalid.diagnostics, *more}, key=lambda line: _place(line, subject.file))]
    return [str(fault) for fault in checked(read.workflow, read.document, InstalledSchemas(registries))]


def graph(registries: Registries, subject: Subject) -> JsonValue:
    """The text of a Mermaid diagram."""
    return mermaid(_workflow(_read(registries, subject)), registries.strategy)


def picture(registries: Registries, subject: Subject) -> JsonValue:
    """The text of an SVG."""
    return svg(_workflow(_read(registries, subject)), registries.strategy)


def schema(registries: Registries, _subject: Subject) -> JsonValue:
    """The JSON Schema, whatever it is asked about."""
    return schema_of(offers_of(registries))


def _place(line: str, file: str) -> tuple[int, int, str]:
    """Of a diagnostic, by which it is put into the order of the file."""
    found = _PLACE.match(line.removeprefix(file))
    return (int(found[1]), int(found[2]), line) if found else (0, 0, line)


def _beside_faults(registries: Registries, text: str, file: str) -> list[str]:
    read = as_far_as_read(registries, text, file)
    if read is None:
        return []
    try:
        return [str(fault) for fault in checked(read.workflow, read.document, InstalledSchemas(registries))]
    except Exception:  # noqa: BLE001 - what was left out of the tree is missing wherever the document has it
        return []


def _read(registries: Registries, subject: Subject) -> Written | Workflow:
    """The workflow, with its document where there is one. WorkflowInvalid."""
    if subject.text is not None:
        return written(registries, subject.text, subject.file)
    assert subject.workflow is not None
    return subject.workflow


def _workflow(read: Written | Workflow) -> Workflow:
    return read if isinstance(read, Workflow) else read.workflow
