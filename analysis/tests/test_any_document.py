"""Documents that nobody meant to write: what compiles is drawn and counted, and never refused by the schema."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from agentplat_analysis.bounds import bounds_of
from agentplat_analysis.checks import check
from agentplat_analysis.knowledge import Installation, InstalledSchemas
from agentplat_analysis.picture.mermaid import mermaid
from agentplat_analysis.picture.svg import svg
from agentplat_analysis.reading import Written, installed
from agentplat_analysis.report import as_json, as_text
from agentplat_analysis.schema.document import Known, schema_of
from agentplat_analysis.schema.installed import offers_of
from agentplat_testkit.documents import mutated

from agentplat import WorkflowInvalid
from agentplat.domain.json import JsonValue
from agentplat.language.compiler import compile_document
from agentplat.language.yaml import load

from .test_schema import BROKEN, STOCK, WHOLE, names, validator

COUNT = int(os.environ.get("AGENTPLAT_DOCUMENTS", "300"))
SEED = int(os.environ.get("AGENTPLAT_DOCUMENTS_SEED", "2026"))


def has_nothing(value: JsonValue) -> bool:
    """Whether a key has no value: the compiler takes it for an absent one, and a schema cannot."""
    match value:
        case dict():
            return any(each is None or has_nothing(each) for each in value.values())
        case list():
            return any(map(has_nothing, value))
        case _:
            return False


@pytest.mark.timeout(3600)
def test_what_compiles_is_drawn_and_counted_and_taken_by_the_schema() -> None:
    files = [*([WHOLE] * 60), *(STOCK * 60), *BROKEN]
    seeds = [file.read_bytes().decode("utf-8", "replace") for file in files]
    known = Installation(installed(), None, {})
    schemas, offers = InstalledSchemas(installed()), offers_of(installed())
    # What inputs have to be only the schema says: to the compiler they are templates.
    agents, tools = ([Known(each.name, "") for each in kind] for kind in (offers.agents, offers.tools))
    bare = schema_of(replace(offers, agents=agents, tools=tools))
    checked, compiled = validator(json.loads(json.dumps(bare))), 0
    for text in mutated(seeds, COUNT, SEED):
        try:
            document = load(text.encode("utf-8", "surrogatepass"), "w.yaml")
            workflow = compile_document(document, names())
        except WorkflowInvalid:
            continue
        compiled += 1
        assert mermaid(workflow, installed().strategy)
        ET.fromstring(svg(workflow, installed().strategy))
        bounds, written = bounds_of(workflow, known), Written(workflow, document)
        assert list(as_text(bounds, written))
        assert as_json(bounds, written)
        check(workflow, document, schemas)
        if not has_nothing(document.value) and not checked.is_valid(document.value):
            said = [error.message for error in checked.iter_errors(document.value)]
            raise AssertionError(f"the schema refuses what compiles: {said}\n{text}")
    assert compiled > COUNT / 50
