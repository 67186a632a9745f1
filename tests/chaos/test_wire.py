"""Whatever the wire to the database does, nothing is lost and nothing is done twice."""

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from agentplat_testkit.relay import ACKNOWLEDGEMENT_BYTES, COMMIT_BYTES, Fault, Relay

from agentplat.contracts.interface import Submission
from agentplat.domain.errors import StoreUnavailable
from agentplat.engine.client.local import LocalClient
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import Settings
from agentplat.store.connect import open_store

from .processes import Workers, write_project
from .traffic import SEED, Traffic, check_all_done, counted, drained, flowing, in_turn, told

FAULTS = int(os.environ.get("AGENTPLAT_CHAOS_FAULTS", "16"))
LEASE = 6.0
LONG = 5.0
"""Longer than a keeper waits for a renewal to be confirmed before it ends its worker."""


async def until_struck(relay: Relay, fault: Fault, before: int) -> None:
    async with asyncio.timeout(60):
        while relay.struck[fault] == before:  # noqa: ASYNC110 - it strikes in another thread
            await asyncio.sleep(0.005)


async def strike(relay: Relay, fault: Fault, chance: random.Random) -> None:
    """Let the fault strike at least once, and mend it."""
    before = relay.struck[fault]
    lasting = chance.choice([0.1, 0.3, 0.5, 1.0])
    match fault:
        case Fault.COMMIT_CUT:
            relay.cut_commit(chance.randint(0, COMMIT_BYTES))
        case Fault.ACKNOWLEDGEMENT_CUT:
            relay.cut_acknowledgement(chance.randint(0, ACKNOWLEDGEMENT_BYTES))
        case Fault.RESET:
            relay.reset()
        case Fault.HALF_OPEN:
            relay.half_open()
            lasting = chance.choice([0.5, 1.0, LONG])
        case Fault.BLACK_HOLE:
            relay.black_hole()
            lasting = chance.choice([0.1, 0.3, 0.5, LONG])
        case Fault.DELAY:
            relay.slow_down(chance.uniform(0.01, 0.1))
        case Fault.THROTTLE:
            relay.narrow(chance.uniform(20_000, 200_000))
        case Fault.REFUSAL:
            relay.refuse()
    await until_struck(relay, fault, before)
    if fault not in (Fault.COMMIT_CUT, Fault.ACKNOWLEDGEMENT_CUT, Fault.RESET):
        await asyncio.sleep(lasting)
    relay.mend()


async def accepted(client: LocalClient, key: str) -> UUID | None:
    """The task; None when the database did not answer."""
    try:
        task = await client.submit(Submission(type="workflow:ten", input={"pause": 0.02}, idempotency_key=key))
    except StoreUnavailable:
        return None
    return task.id


@asynccontextmanager
async def submitting(folder: Path, url: str) -> AsyncIterator[LocalClient]:
    async with open_platform(Settings(project=folder, database_url=url)) as platform:
        yield platform.client()


@pytest.mark.timeout(180 + FAULTS * 5)
async def test_no_fault_of_the_wire_loses_or_doubles_anything(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTPLAT_IDENTITY__KEY", "0123456789abcdef")
    chance = random.Random(SEED)
    write_project(tmp_path)
    with Relay(postgres_url) as relay:
        workers = Workers(tmp_path, re.sub(r"^(\w+)\+\w+:", r"\1:", relay.url), LEASE)
        observer = open_store(postgres_url)
        try:
            keepers = [workers.start(), workers.start()]
            async with submitting(tmp_path, workers.database_url) as client:
                traffic = Traffic(lambda key: accepted(client, key), observer, at_once=12)
                async with flowing(traffic, workers, flows=2):
                    for fault in in_turn(Fault, FAULTS, chance):
                        await strike(relay, fault, chance)
                        await asyncio.sleep(chance.uniform(0, 0.2))
            await drained(keepers)
            totals = await check_all_done(observer, traffic.accepted, workers.marks, postgres_url)
        finally:
            workers.end()
            await observer.close()
    told(capsys, f"wire, seed {SEED}: {FAULTS} faults ({counted(relay.struck)}); {totals}, {traffic}")
    assert set(relay.struck) == set(Fault), f"seed {SEED}: {set(Fault) - set(relay.struck)} never struck"
