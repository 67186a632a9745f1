"""The strategies of this repository, as their own contract tests describe them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from agentplat_testkit import StrategyContract
from agentplat_testkit.histories.search import Search

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def contracts() -> tuple[StrategyContract, ...]:
    """One of each class of each contract test."""
    found = tuple(
        made for file in sorted(REPOSITORY.glob("plugins/strategy-*/tests/test_contract.py")) for made in _of(file)
    )
    assert len({contract.name for contract in found}) >= 13
    return found


def _of(file: Path) -> Iterator[StrategyContract]:
    spec = importlib.util.spec_from_file_location(f"contracts_of_{file.parents[1].name.replace('-', '_')}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in vars(module).items():
        if name.startswith("Test") and isinstance(value, type) and issubclass(value, StrategyContract):
            yield value()


def search() -> Search:
    """All of them, nested in each other."""
    made = {contract.name: contract.made() for contract in contracts()}
    return Search([contract.sample() for contract in contracts()], made)
