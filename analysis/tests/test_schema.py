"""The JSON Schema of workflow files, asked by a validator of JSON Schema about good documents and broken ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from agentplat_analysis.reading import installed
from agentplat_analysis.schema.document import Known, Offers, schema_of
from agentplat_analysis.schema.installed import offers_of

from agentplat import WorkflowInvalid
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.engine.definitions import CatalogNames
from agentplat.language.compiler import WORKFLOW_KEYS, compile_document
from agentplat.language.steps import BLOCK_KEYS, BODIES, COMMON_KEYS, STEP_KEYS
from agentplat.language.yaml import load

REPOSITORY = Path(__file__).parents[2]
STOCK = sorted((REPOSITORY / "workflows" / "src").rglob("*.yaml"))
BROKEN = sorted((REPOSITORY / "core" / "tests" / "language" / "corpus").glob("*.yaml"))
WHOLE = Path(__file__).parent / "documents" / "whole.yaml"
PAGES = sorted((REPOSITORY / "docs" / "reference" / "strategies").glob("*.md"))
WORKFLOW = re.compile(r'^```yaml title="workflows/[^"]*"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@cache
def names() -> CatalogNames:
    return CatalogNames(installed())


@cache
def schema() -> JsonObject:
    return schema_of(offers_of(installed()))


def refused_by_schema(value: JsonValue, of: JsonObject | None = None) -> list[str]:
    # As an editor has it: what was printed, read again.
    printed = json.loads(json.dumps(of or schema()))
    return [f"{error.instance_path}: {error.message[:200]}" for error in validator(printed).iter_errors(value)]


def validator(printed: Any) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft7Validator(printed)


def refused_by_compiler(text: str | bytes) -> tuple[str, ...]:
    try:
        compile_document(load(text, "w.yaml"), names())
    except WorkflowInvalid as invalid:
        return invalid.diagnostics
    return ()


def value_of(text: str | bytes) -> JsonValue:
    """What the text says; None of what is no YAML."""
    try:
        return load(text, "w.yaml").value
    except WorkflowInvalid:
        return None


def of_pages() -> Iterator[str]:
    for page in PAGES:
        yield from WORKFLOW.findall(page.read_text(encoding="utf-8"))


def test_it_is_a_json_schema_itself() -> None:
    jsonschema_rs.meta.validate(json.loads(json.dumps(schema())))


@pytest.mark.parametrize("file", [*STOCK, WHOLE], ids=lambda file: file.stem)
def test_it_takes_every_good_document(file: Path) -> None:
    assert refused_by_compiler(file.read_bytes()) == ()
    assert refused_by_schema(value_of(file.read_bytes())) == []


def test_it_takes_what_the_pages_of_the_strategies_show() -> None:
    offers = offers_of(installed())
    shown = list(of_pages())
    assert len(shown) >= len(PAGES) - 1
    for text in shown:
        # Agents of the page's own `agents.yaml`.
        own = set(re.findall(r"agent: (\w+)", text)) - {agent.name for agent in offers.agents}
        known = Offers(
            agents=[*offers.agents, *(Known(name, "") for name in own)],
            tools=offers.tools,
            strategies=offers.strategies,
            checks=offers.checks,
        )
        assert refused_by_schema(value_of(text), schema_of(known)) == [], text


@pytest.mark.parametrize("file", BROKEN, ids=[file.stem for file in BROKEN])
def test_every_broken_document_is_refused_by_it_or_else_by_the_compiler(file: Path) -> None:
    value = value_of(file.read_bytes())
    assert (value is not None and refused_by_schema(value)) or refused_by_compiler(file.read_bytes())


def test_of_broken_documents_that_can_be_read_it_refuses_most_by_itself() -> None:
    readable = [value for file in BROKEN if (value := value_of(file.read_bytes())) is not None]
    refused = [value for value in readable if refused_by_schema(value)]
    assert len(BROKEN) >= 100
    assert len(refused) > len(readable) / 2


def keys_of(schema: Any) -> set[str]:
    assert all("description" in each or "$ref" in each for each in schema["properties"].values())
    return set(schema["properties"])


def test_it_knows_the_keys_that_the_compiler_knows_and_no_others() -> None:
    bare = schema_of(Offers())
    definitions: Any = bare["definitions"]
    items = {"max_parallel", "join"}
    assert keys_of(bare) == WORKFLOW_KEYS | BLOCK_KEYS
    assert keys_of(definitions["step"]) == (STEP_KEYS | COMMON_KEYS | {*BODIES} | items) - {"schedule"}


def test_inputs_of_agents_and_tools_are_in_it_and_any_of_their_values_may_be_an_expression() -> None:
    def document(given: Any) -> JsonValue:
        return {"name": "w", "steps": [{"tool": "calculator", "input": given}]}

    assert refused_by_schema(document({"expression": "1 + 1"})) == []
    assert refused_by_schema(document({"expression": "${{ input.sum }}"})) == []
    assert refused_by_schema(document("${{ input }}")) == []
    assert refused_by_schema(document({"expression": 3}))
    assert refused_by_schema(document([1]))


def test_options_stand_with_the_strategies_that_take_them() -> None:
    def document(**block: JsonValue) -> JsonValue:
        return {"name": "w", "steps": [{"name": "a", "agent": "research"}], **block}

    assert refused_by_schema(document(strategy="parallel", join="any")) == []
    assert refused_by_schema(document(strategy="parallel", options={"join": "any"})) == []
    assert refused_by_schema(document(strategy="parallel", join="some"))
    assert refused_by_schema(document(strategy="sequential", join="any"))
    assert refused_by_schema(document(join="any"))
    assert refused_by_schema(document(coordination_type="parallel", max_turns=3))
