"""A simulation as the server asks for it: of a document, by options, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentplat import JsonValue, Subject, UsageError
from agentplat.engine.definitions import CatalogNames
from agentplat.language.compiler import compile_document
from agentplat.language.yaml import load
from agentplat.plugins.registry import Registries
from agentplat_testkit.timelines.asked import end_of, events_of, played, rules_of, script_of


def simulation(registries: Registries, subject: Subject) -> JsonValue:
    """The `events` of a task that nobody runs, and its end. Options are `input`, `outputs`, `fail`, `crash`, `seed`."""
    if subject.text is None:
        raise UsageError("A simulation needs a workflow as it is written.")
    workflow = compile_document(load(subject.text, subject.file), CatalogNames(registries))
    asked: Mapping[str, Any] = subject.options
    fail: Sequence[str] = asked.get("fail", ())
    script = script_of(
        registries,
        workflow,
        input=asked.get("input", {}),
        outputs=asked.get("outputs", {}),
        fail=fail,
        crash=asked.get("crash", ()),
        seed=asked.get("seed"),
    )
    timeline = played(workflow, script, rules_of(registries))
    return {"workflow": workflow.name, "events": list(events_of(timeline)), **end_of(timeline)}
