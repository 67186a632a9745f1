from __future__ import annotations

from typing import ClassVar

from agentplat_testkit import ToolContract


class TestCalculator(ToolContract):
    plugin = "tool-calculator"
    name = "calculator"
    example: ClassVar = {"expression": "(17.5 + 3) * 2**10 / 7"}
    bad_input: ClassVar = {"expression": "9**9**7"}
