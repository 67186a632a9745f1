"""Everybody at once, on both databases: whatever the order was, what each was answered explains how it ended."""

import os
from collections import Counter

import pytest
from agentplat_testkit.pytest_plugin import POOLER_VARIABLE

from agentplat.store.connect import open_store

from .comparing import PromiseBroken
from .crowd import Crowd
from .explaining import explain, stale
from .looking import Beside
from .rows_held import deadlocks

CROWDS = max(int(os.environ.get("AGENTPLAT_MODEL_HISTORIES", "30")) // 20, 1)
ENOUGH = 5  # crowds, for everything to happen at least once
SEED = int(os.environ.get("AGENTPLAT_MODEL_SEED", "2026"))


@pytest.mark.timeout(3600)
async def test_what_a_crowd_was_answered_explains_how_it_ended(url: str) -> None:
    struck: Counter[str] = Counter()
    for number in range(CROWDS):
        beside = Beside(url)
        beside.clear()
        crowd = Crowd(url, f"{SEED}/{number}")
        store = open_store(url)
        try:
            await crowd.play()
            await explain(crowd.seen, store, beside.look())
        except PromiseBroken as error:
            error.add_note(f"AGENTPLAT_MODEL_SEED={SEED}, crowd {number}; what meets when is the machine's luck")
            raise
        finally:
            await store.close()
            beside.close()
        struck["stale writes"] += stale(crowd.seen)
        struck["swept workers"] += len(crowd.seen.swept)
        struck["keys that were known"] += sum(not result.created for _, result in crowd.seen.submitted)
        struck["news that was known"] += sum(not accepted for _, accepted in crowd.seen.told)
    assert all(struck.values()) or CROWDS < ENOUGH, f"seed {SEED}: not all of it struck: {struck}"
    if not url.startswith("sqlite") and POOLER_VARIABLE not in os.environ:  # a pooler's sessions do not end
        assert await deadlocks(url) == 0
