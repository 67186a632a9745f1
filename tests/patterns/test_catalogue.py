"""Every file is played by a test, is small, and is named after its pattern."""

import re
from pathlib import Path

from agentplat.language.yaml import load

from .stage import FILES

_PLAYED = re.compile(r'stage\.play\(\s*"(\w+)"')


def test_every_pattern_is_played_by_a_test() -> None:
    tests = [file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py")]
    assert {name for text in tests for name in _PLAYED.findall(text)} == set(FILES)


def test_at_least_36_of_the_catalogue_are_files() -> None:
    assert sum(name.startswith("wcp") for name in FILES) >= 36


def test_a_pattern_is_small_and_says_its_name_and_what_it_is() -> None:
    for name, file in FILES.items():
        text = file.read_text(encoding="utf-8")
        document = load(text, name).value
        assert len(text.splitlines()) <= 25, name
        assert document["name"] == name
        assert re.fullmatch(r"[^:]+: \S.+\.", document["description"]), name
