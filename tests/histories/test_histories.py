"""Random tasks of random workflows, all strategies nested in each other: `make histories COUNT=` plays more of them."""

from __future__ import annotations

import os

import pytest

from .contracts import search

COUNT = int(os.environ.get("AGENTPLAT_HISTORIES", "1200"))
SEED = int(os.environ.get("AGENTPLAT_HISTORIES_SEED", "2026"))
PARTS = 4


@pytest.mark.timeout(max(300, COUNT // 50))
@pytest.mark.parametrize("part", range(PARTS))
def test_every_history_of_nested_strategies_keeps_the_laws(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = search().run(COUNT // PARTS, seed=SEED * PARTS + part)
    told = f"{found.histories} histories, {found.events} events, {found.rate:.0f} histories/s of a core, seed {SEED}"
    print(told)  # noqa: T201 - `make histories` shows what its processes print at the end
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201
    broken = found.broken
    assert broken is None, f"{broken.law}\ntapes: {[tape.hex() for tape in broken.tapes]}\n{broken.trace}"
