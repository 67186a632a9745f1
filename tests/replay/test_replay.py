"""Histories that were recorded with a release lead to the same commands for ever.

`AGENTPLAT_RECORD_HISTORIES=1` records those of a release that is being made; those of a release that was made are never
touched again.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from agentplat_testkit.timelines.random_plays import ScriptedPlay
from agentplat_testkit.timelines.timeline import Script

from agentplat import AgentSpec
from agentplat.domain.interpreter import Rules
from agentplat.domain.tree import build
from agentplat.engine.definitions import CatalogNames
from agentplat.engine.rules import CatalogRules
from agentplat.language.compiler import normalise
from agentplat.language.expressions import ExpressionEngine
from agentplat.plugins.host import load_plugins
from agentplat.plugins.registry import Registries, RegistryBuilder

from .records import Record, difference, recorded
from .workflows import documents

DATA = Path(__file__).with_name("data")
VERSION = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]
RECORDS = os.environ.get("AGENTPLAT_RECORD_HISTORIES") == "1"
LIVES = 6
AGENTS = ("clerk", "critic", "reader", "writer")


@cache
def registries() -> Registries:
    """What is installed, and the agents of the pages: only their names count, for the plans that are checked."""
    builder = RegistryBuilder()
    for strategy in load_plugins().registries.strategies:
        builder.register(strategy, origin="replay")
    for name in AGENTS:
        builder.register(AgentSpec(name=name, description="of a page", factory="nobody:Nobody"), origin="replay")
    return builder.build()


def rules() -> Rules:
    return CatalogRules(registries(), ExpressionEngine())


def lived() -> Iterator[Record]:
    """New histories of all workflows: one in which all goes well, and some with every kind of bad luck."""
    for document, said in documents():
        form = normalise(document, CatalogNames(registries()))
        outputs = {step: value if isinstance(value, list) else [value] for step, value in said.items()}
        for life in range(LIVES):
            luck = random.Random(f"{form['name']} {life}")
            play = ScriptedPlay(build(form), luck.randbytes(40) if life else b"", rules=rules())
            play.script = Script(input={"topic": "bees", "figures": True, "feedback": ""}, outputs=outputs)
            play.run()
            yield recorded(f"{form['name']} {life}", form, play)


def kept(file: Path) -> list[Record]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(file: Path) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n" for record in lived())
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


if RECORDS:
    write(DATA / f"{VERSION}.jsonl.gz")
RELEASES = sorted(DATA.glob("*.jsonl.gz"))


def test_the_histories_of_this_release_are_recorded() -> None:
    assert DATA / f"{VERSION}.jsonl.gz" in RELEASES, "record them: AGENTPLAT_RECORD_HISTORIES=1 pytest tests/replay"


@pytest.mark.parametrize("file", RELEASES, ids=lambda file: file.name.removesuffix(".jsonl.gz"))
def test_histories_of_a_release_give_the_same_commands_for_ever(file: Path) -> None:
    records = kept(file)
    assert len(records) >= LIVES * 10
    differences = [found for record in records if (found := difference(record, rules())) is not None]
    assert not differences, f"{len(differences)} of {len(records)} histories go on otherwise:\n{differences[0]}"


def test_the_recorded_histories_use_every_strategy_and_end_in_every_way() -> None:
    records = kept(DATA / f"{VERSION}.jsonl.gz")
    used = {strategy for record in records for strategy in _strategies(record["workflow"])}
    assert used >= set(registries().strategies.names)
    assert {record["journal"][-1][2]["status"] for record in records} == {"done", "error", "cancelled"}
    said = {command["command"] for record in records for asked in record["asked"].values() for command in asked}
    assert said >= {
        "StartStep",
        "DispatchChild",
        "StartWait",
        "StartBlock",
        "StopBlock",
        "ExpandBlock",
        "ScheduleRetry",
        "SkipStep",
    }


@pytest.mark.parametrize(("key", "value"), [("input", "another"), ("attempt", 7), ("path", "somebody")], ids=str)
def test_a_command_that_is_another_is_seen(key: str, value: Any) -> None:
    record = json.loads(json.dumps(kept(DATA / f"{VERSION}.jsonl.gz")[0]))
    command = next(one for asked in record["asked"].values() for one in asked if one["command"] == "StartStep")
    command[key] = value
    assert difference(record, rules()) is not None


def _strategies(form: Any) -> Iterator[str]:
    if "steps" in form:
        yield form["strategy"]
        for step in form["steps"]:
            yield from _strategies(step)
