import json
import subprocess
import sys

import pytest

from .conftest import Plant
from .gates import imports
from .gates.tree import REPOSITORY, demand_none


def test_the_domain_is_pure() -> None:
    demand_none(imports.impure_domain(REPOSITORY))


def test_the_contracts_cost_nothing_to_import() -> None:
    demand_none(imports.heavy_contracts(REPOSITORY))


def test_a_library_is_known_to_one_layer_only() -> None:
    demand_none(imports.strayed_libraries(REPOSITORY))


def test_the_core_names_no_plugin() -> None:
    demand_none(imports.named_plugins(REPOSITORY))


def offered() -> set[str]:
    """The names that the installed plugins offer, of the kinds that people choose from."""
    command = [sys.executable, "-m", "agentplat.runtime.cli", "plugins", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    offers = [json.loads(line)["offers"] for line in told.splitlines()]
    kinds = ("agents", "tools", "model_providers", "interfaces", "workflows")
    return {name for offer in offers for kind in kinds for name in offer.get(kind, ())}


def test_the_core_names_nothing_that_a_plugin_offers() -> None:
    names = offered()
    assert {"research", "calculator", "offline", "research_assessment"} <= names
    demand_none(imports.named_offers(REPOSITORY, names))


def test_a_core_that_names_an_offer_is_seen(plant: Plant) -> None:
    root = plant({"core/src/agentplat/a.py": 'default = "offline"\n"""offline"""\nx = "offline first"\n'})
    assert imports.named_offers(root, {"offline"}) == ["core/src/agentplat/a.py:1: names offline"]


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "import random",
        "import os",
        "import asyncio",
        "import pluggy",
        "from pathlib import Path",
        "from uuid import uuid4",
        "import uuid\nx = uuid.uuid4()",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.utcnow()",
        "from datetime import date\nx = date.today()",
        "def f():\n    import secrets",
        "from agentplat.contracts import agent",
        "from agentplat import hookimpl",
        "x = open('a')",
        "print('a')",
        "x = hash('a')",
        "async def f(): ...",
        "def f():\n    global x\n    x = 1",
    ],
)
def test_impurity_is_seen(plant: Plant, code: str) -> None:
    assert len(imports.impure_domain(plant({"core/src/agentplat/domain/a.py": code}))) >= 1


@pytest.mark.parametrize(
    "code",
    [
        "from datetime import UTC, datetime, timedelta\ndef f(now: datetime) -> datetime:\n    return now",
        "from agentplat.domain.task import Task",
        "from uuid import UUID",
        "def f(input): return input",
    ],
)
def test_purity_is_left_in_peace(plant: Plant, code: str) -> None:
    assert imports.impure_domain(plant({"core/src/agentplat/domain/a.py": code})) == []


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ("from pydantic import BaseModel", 1),
        ("try:\n    import yaml\nexcept ImportError:\n    import httpx", 2),
        ("from agentplat.engine import tasks", 1),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pydantic import BaseModel", 0),
        ("def f():\n    import pydantic", 0),
        ("from agentplat.domain import task", 0),
    ],
)
def test_a_heavy_contract_is_seen(plant: Plant, code: str, faults: int) -> None:
    assert len(imports.heavy_contracts(plant({"core/src/agentplat/contracts/a.py": code}))) == faults


@pytest.mark.parametrize(
    ("place", "code", "faults"),
    [
        ("engine/a.py", "import sqlalchemy", 1),
        ("engine/a.py", "def f():\n    from sqlalchemy.ext import asyncio", 1),
        ("runtime/a.py", "import pluggy", 1),
        ("runtime/a.py", "import fastapi", 1),
        ("store/a.py", "import sqlalchemy", 0),
        ("plugins/a.py", "import pluggy", 0),
    ],
)
def test_a_strayed_library_is_seen(plant: Plant, place: str, code: str, faults: int) -> None:
    assert len(imports.strayed_libraries(plant({f"core/src/agentplat/{place}": code}))) == faults


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ("import agentplat_tool_x", 1),
        ("hint = 'pip install agentplat-tool-x'", 1),
        ("target = f'agentplat_tool_x.{1}'", 1),
        ("import agentplat_migrations.plugin", 1),
        ('"""See plugins/tool-x and agentplat_tool_x."""', 0),
        ("# agentplat_tool_x", 0),
    ],
)
def test_a_core_that_names_a_plugin_is_seen(plant: Plant, code: str, faults: int) -> None:
    root = plant({"plugins/tool-x/pyproject.toml": "", "core/src/agentplat/a.py": code})
    assert len(imports.named_plugins(root)) == faults
