"""Workers behind a pooler by transaction. `make pooled` runs all tests of the engine in this way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agentplat_testkit.pooler import Pooler

from agentplat.domain.task import TaskState

from .harness import Engine


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    with Pooler(postgres_url) as pooler:
        yield f"{pooler.url}{'&' if '?' in pooler.url else '?'}pooled=true"
    assert pooler.transactions > 0
    assert pooler.left_behind == []


async def test_a_workflow_runs_to_its_end(engine: Engine) -> None:
    engine.start_worker()
    done = await engine.ended(await engine.submit("workflow:pair", {"topic": "leases"}))
    assert done.status is TaskState.DONE
    assert not engine.store.hears
