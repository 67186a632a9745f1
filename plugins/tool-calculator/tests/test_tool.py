"""The tool around the evaluation."""

from __future__ import annotations

import sys
from subprocess import run

import pytest
from agentplat_tool_calculator.plugin import agentplat_tools
from agentplat_tool_calculator.schema import Input, Output
from pydantic import ValidationError


def test_expression_is_the_only_parameter() -> None:
    schema = Input.model_json_schema()

    assert ["expression"] == schema["required"] == list(schema["properties"])
    with pytest.raises(ValidationError):
        Input.model_validate({"expression": "1", "precision": 2})


@pytest.mark.parametrize(("result", "text"), [(7, '{"result":7}'), (7.5, '{"result":7.5}'), (10**299, None)])
def test_integers_stay_integers_and_floats_stay_floats(result: float, text: str | None) -> None:
    assert (text or f'{{"result":{result}}}') == Output(result=result).model_dump_json()


def test_one_tool_is_offered() -> None:
    (spec,) = agentplat_tools()

    assert (spec.name, spec.effect) == ("calculator", "pure")


def test_the_light_module_imports_nothing_heavy() -> None:
    code = "import sys, agentplat_tool_calculator.plugin as p; p.agentplat_tools(); print('pydantic' in sys.modules)"

    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
