from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agentplat.domain.errors import WorkflowInvalid
from agentplat.domain.json import JsonObject
from agentplat.domain.workflow import Workflow
from agentplat.language.compiler import compile_document, normalise
from agentplat.language.yaml import load

from .installed import Installed


@dataclass(frozen=True)
class Compiler:
    def compile(self, text: str) -> Workflow:
        return compile_document(load(text, "w.yaml"), Installed())

    def normal(self, text: str) -> JsonObject:
        return normalise(load(text, "w.yaml"))

    def faults(self, text: str) -> list[str]:
        """`line:column: code: text` of each diagnostic."""
        with pytest.raises(WorkflowInvalid) as caught:
            self.compile(text)
        lines = list(caught.value.diagnostics)
        assert all(line.startswith("w.yaml:") for line in lines)
        return [line.removeprefix("w.yaml:") for line in lines]

    def codes(self, text: str) -> list[str]:
        """`line:column code` of each diagnostic."""
        return [" ".join(fault.split(": ")[:2]) for fault in self.faults(text)]


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


Load = Callable[[str | bytes], list[str]]


@pytest.fixture
def refusals() -> Load:
    """`line:column code` of each diagnostic that reading a text gives."""

    def refused(text: str | bytes) -> list[str]:
        with pytest.raises(WorkflowInvalid) as caught:
            load(text, "w.yaml")
        return [" ".join(line.removeprefix("w.yaml:").split(": ")[:2]) for line in caught.value.diagnostics]

    return refused
