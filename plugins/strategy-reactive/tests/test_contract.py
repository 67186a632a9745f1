"""What every strategy has to keep to."""

from __future__ import annotations

from agentplat_testkit import StrategyContract
from agentplat_testkit.simulation.tape import Tape

from agentplat import BlockView, JsonValue


class TestReactive(StrategyContract):
    plugin, name = "strategy-reactive", "reactive"
    variants = ({}, {"max_turns": 5}, {"max_turns": 12})
    step_variants = (
        {},
        {"on": "topic"},
        {"on": ["topic", "a"]},
        {"on": "a", "as": "b"},
        {"on": "b"},
        {"on": "${{ true }}"},
        {"on": ["a", "b"], "as": "topic"},
    )

    def output_of(self, step: str, view: BlockView, tape: Tape) -> JsonValue:
        return tape.pick(({"a": 1}, {"a": 2}, {"b": 1}, {"b": tape.next()}, {"topic": "x"}, "text", None, {}))

    def drawn(self, tape: Tape) -> BlockView:
        from dataclasses import replace

        return replace(super().drawn(tape), evaluate=lambda template: template == "${{ true }}")
