"""What `--input` may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from agentplat_cli.run import read_input

from agentplat import InputRejected


def test_an_object_is_given_as_json_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"topic": "Tides: \\u2248 12 h"}', encoding="utf-8")
    assert read_input('{"topic": "Leases"}') == {"topic": "Leases"}
    assert read_input(f"@{file}") == {"topic": "Tides: ≈ 12 h"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("topic=leases", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"n": ' + "9" * 5_000 + "}", "is not JSON"),
        ("null", "is not a JSON object"),
        ('"topic"', "is not a JSON object"),
        ("@", "cannot be read"),
        ("@nowhere.json", "cannot be read"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InputRejected, match=reason):
        read_input(text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputRejected, match="cannot be read"):
        read_input(f"@{tmp_path / 'picture'}")
