"""The files themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from agentplat_workflows.plugin import API_LEVEL, agentplat_workflows

from agentplat import WorkflowSpec
from agentplat.language.compiler import normalise
from agentplat.language.yaml import load

SPECS = agentplat_workflows()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec.name))
def test_every_offered_file_is_a_workflow_of_that_name_with_a_description(spec: WorkflowSpec) -> None:
    file = Path(spec.file)
    assert file.is_absolute()
    form = normalise(load(file.read_bytes(), file.name))
    assert form["name"] == spec.name == file.stem
    assert form["description"]


def test_every_file_that_ships_is_offered() -> None:
    files = {Path(spec.file) for spec in SPECS}
    assert files == set(Path(SPECS[0].file).parent.glob("*.yaml"))


def test_one_workflow_is_there_to_be_shown() -> None:
    assert [spec.name for spec in SPECS if spec.demo] == ["research_assessment"]
    assert API_LEVEL == 1
