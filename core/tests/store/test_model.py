"""Random histories of several workers, on both databases: after every move the store is as the model says.

AGENTPLAT_MODEL_HISTORIES= says how many, AGENTPLAT_MODEL_SEED= which, AGENTPLAT_MODEL_SHRINK=1 looks for the shortest
history that goes wrong. Such a history becomes a test in `test_model_found.py`.
"""

import os
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from .machine import Machine
from .playing import Move, World, moves

HISTORIES = int(os.environ.get("AGENTPLAT_MODEL_HISTORIES", "30"))
SEED = int(os.environ.get("AGENTPLAT_MODEL_SEED", "2026"))  # one for all, so that a failure is no one's bad luck
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("AGENTPLAT_MODEL_SHRINK") else (Phase.generate,)
STEPS = 40
ENOUGH = 30
# histories, for everything to happen at least once


@pytest.mark.timeout(3600)
def test_every_history_keeps_the_promises(world: World) -> None:
    @seed(SEED)
    @settings(
        max_examples=HISTORIES,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(moves(), min_size=STEPS, max_size=STEPS))
    def history(moves: Sequence[Move]) -> None:
        Machine(world).live(moves)

    try:
        history()
    except BaseException as error:
        error.add_note(f"AGENTPLAT_MODEL_SEED={SEED}, history {world.histories}, moment {world.moments} in all")
        raise
    missing = [what for what, times in world.struck.items() if not times]
    assert not missing or HISTORIES < ENOUGH, f"seed {SEED}: {missing} never happened in {world.moments} moments"
