from collections.abc import Callable

import pytest
from agentplat_testkit.databases import Migrate
from sqlalchemy import update

from agentplat.store.columns import clock
from agentplat.store.tables import queue, tasks

from .hand import Dialect, hand
from .healthy import made


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    """Every test of this folder begins with a clone of the healthy database."""
    return made


@pytest.fixture
def healthy(request: pytest.FixtureRequest) -> Callable[[Dialect], str]:
    """The healthy database as if it had been made just now: what waits for somebody has not waited for long."""

    def renewed(dialect: Dialect) -> str:
        url: str = request.getfixturevalue("sqlite_url" if dialect == "sqlite" else "postgres_url")
        with hand(url) as turned:
            turned.do(update(queue).where(queue.c.ready).values(run_at=clock()))
            turned.do(update(tasks).where(tasks.c.cancel_requested_at.is_not(None)).values(cancel_requested_at=clock()))
        return url

    return renewed


@pytest.fixture(params=["sqlite", "postgresql"])
def healthy_url(request: pytest.FixtureRequest, healthy: Callable[[Dialect], str]) -> str:
    """Once on each database."""
    return healthy(request.param)
