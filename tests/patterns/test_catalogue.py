"""Every file is played by a test, is small, and is named after its pattern."""

import re
from pathlib import Path
from typing import Any

from agentplat.language.yaml import load

from .stage import FILES, FOLDER, PARTS

PAGE = FOLDER.with_suffix(".md")
_NUMBERED = re.compile(r"^\| WCP-(\d+) \|", re.MULTILINE)
_LINKED = re.compile(r"\(patterns/workflows/(\w+)\.yaml\)")
_PLAYED = re.compile(r'stage\.play\(\s*"(\w+)"')


def test_every_pattern_is_played_by_a_test() -> None:
    tests = [file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py")]
    assert {name for text in tests for name in _PLAYED.findall(text)} == set(FILES)


def test_the_page_has_the_whole_catalogue_and_every_file() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(map(int, _NUMBERED.findall(page))) == list(range(1, 44))
    assert sorted(_LINKED.findall(page)) == sorted(FILES)


def test_every_part_is_called_by_the_pattern_that_it_names() -> None:
    for name, file in PARTS.items():
        callers = [
            caller for caller, text in FILES.items() if f"workflow: {name}\n" in text.read_text(encoding="utf-8")
        ]
        assert callers, name
        assert all(caller in file.read_text(encoding="utf-8") for caller in callers)


def test_a_pattern_is_small_and_says_its_name_and_what_it_is() -> None:
    for name, file in {**FILES, **PARTS}.items():
        text = file.read_text(encoding="utf-8")
        document: Any = load(text, name).value
        assert len(text.splitlines()) <= 25, name
        assert document["name"] == name
        assert name in PARTS or re.fullmatch(r"[^:]+: \S.+\.", document["description"]), name
