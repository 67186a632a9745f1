"""What feedback names."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_agent_research.feedback import MAX_NAMED, named


@pytest.mark.parametrize(
    ("feedback", "expected"),
    [
        ("Not covered yet: “tyre pressure”; “neap tides”.", ["tyre pressure", "neap tides"]),
        ('Add "group commit", please.', ["group commit"]),
        (
            "The findings lack detail on pollination and do not discuss winter clusters.",
            ["pollination", "winter clusters"],
        ),
        ("Needs more evidence. Sources are weak.", []),
        ("Expand: fencing tokens, leases\nand the sweeper", ["fencing tokens", "leases", "sweeper"]),
        (["“a b”", "c d is missing", 7], ["a b", "c d"]),
        ({"feedback": "", "areas_for_improvement": ["Say something on “wax”."]}, ["wax"]),
        ({"feedback": "“x y”", "missing": ["z"]}, ["x y"]),
        ({"unrelated": "“x”"}, []),
        (None, []),
        (3.5, []),
    ],
)
def test_the_named_phrases_are_found(feedback: Any, expected: list[str]) -> None:
    assert named(feedback) == expected


def test_a_flood_of_feedback_is_cut() -> None:
    assert len(named("; ".join(f"“thing number {number}”" for number in range(500)))) == MAX_NAMED
    assert len(named("word " * 10_000)[0].split()) <= 12
