"""Claims on PostgreSQL while a transaction keeps dead rows from being removed.

Before each test tens of thousands of tasks went through behind the transaction's back, so that a look from the start of
the index is slow, and the claims of a process go on from where they stand.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
import pytest
from agentplat_testkit.pytest_plugin import needs_own_sessions
from hypothesis import given
from hypothesis import strategies as st

from agentplat.contracts.hints import Hint
from agentplat.contracts.limits import Limit
from agentplat.contracts.store import Store
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.store.address import Address
from agentplat.store.postgres import Postgres
from agentplat.store.script import Bound, Script
from agentplat.store.sql_store import SqlStore
from agentplat.store.transactions import claims
from agentplat.store.transactions.claims import Found, Front, begins, stands

from .making import new_task, submitted, working

DEAD = """
insert into agentplat.queue (task_id, tenant_id, queue, concurrency_key, priority, run_at, ready, wake, fence,
                             under_way, suspect, crashes)
select gen_random_uuid(), 'north', 'default', '', 0, clock_timestamp() - interval '1 hour', true, false, 0,
       false, false, 0
from generate_series(1, 30000)
"""
CLAIMS = {"claim", "claim_nearby", "claim_fairly"}

EVER = claims.Oldest().since

pytestmark = needs_own_sessions  # one of them keeps the dead rows, in a transaction of another isolation


class Pinned:
    """A database whose dead rows stay, and what the store asks of it meanwhile."""

    def __init__(self, store: Store, url: str) -> None:
        self.store = store
        self.claims: list[str] = []
        self._database = cast(Postgres, cast(SqlStore, store)._database)
        self._session = psycopg.connect(Address.parse(url).libpq, autocommit=True)
        self._holder = psycopg.connect(Address.parse(url).libpq)

    @contextmanager
    def lasting(self) -> Iterator[None]:
        with self._session, self._holder, self._overheard():
            self._holder.execute("set transaction isolation level repeatable read")
            self._holder.execute("select from agentplat.queue")
            self.say(DEAD)
            self.say("delete from agentplat.queue")
            self.say("vacuum agentplat.queue")
            yield

    def say(self, statement: str, *values: Any) -> None:
        self._session.execute(statement.encode(), values)

    async def stand(self) -> WorkerId:
        """A worker whose claims stand past all that is dead, and are spared the look from the start."""
        worker_id = await working(self.store)
        for _ in range(2):  # the first one finds out that it is slow
            task_id = await submitted(self.store)
            assert await self.given(worker_id) == [task_id]
        self.strikes()
        return worker_id

    async def choose(self) -> WorkerId:
        """A worker whose claims have to choose, and begin past all that is dead."""
        worker_id = await working(self.store)
        for _ in range(2):  # the first one finds out that it is slow
            tasks = [await submitted(self.store, tenant=tenant) for tenant in ("east", "north")]
            assert sorted(await self.given(worker_id)) == sorted(tasks)
        self.strikes("claim_fairly, nearby")
        return worker_id

    async def given(self, worker_id: WorkerId, limit: int = 10) -> list[TaskId]:
        return [claim.lease.task_id for claim in await self.store.claim(worker_id, limit)]

    def strikes(self, claim: str = "claim_nearby") -> None:
        """The last claim did not begin at the start."""
        assert self.claims[-1] == claim, self.claims

    @contextmanager
    def _overheard(self) -> Iterator[None]:
        conduct = self._database.conduct

        def noting(script: Script[Any]) -> Script[Any]:
            asked = next(script)
            while True:
                self.claims.extend(map(_called, (each for each in asked.statements if each.name in CLAIMS)))
                try:
                    asked = script.send((yield asked))
                except StopIteration as end:
                    return end.value

        self._database.conduct = lambda script, hints=(): conduct(noting(script), hints)  # type: ignore[method-assign]
        yield
        self._database.conduct = conduct  # type: ignore[method-assign]


def _called(asked: Bound) -> str:
    begins_later = asked.name == "claim_fairly" and asked.values["since"] != EVER
    return f"{asked.name}, nearby" if begins_later else asked.name


@pytest.fixture
async def pinned(store_on_postgres: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pinned]:
    """With fewer dead rows than in earnest, which are slow the sooner, and the same time between looks everywhere."""
    monkeypatch.setattr(claims, "_SLOW", 0.0005)
    monkeypatch.setattr(claims, "_SLOW_CHOICE", 0.0005)
    monkeypatch.setattr(claims, "_SHARE", 1_000_000)
    monkeypatch.setattr(claims, "_LONGEST", 5.0)
    pinned = Pinned(store_on_postgres, postgres_url)
    with pinned.lasting():
        yield pinned


async def test_claims_go_on_from_where_they_stand_and_find_what_is_new(pinned: Pinned) -> None:
    worker_id = await pinned.stand()
    tasks = [new_task() for _ in range(30)]
    await pinned.store.submit(tasks)
    given = [await pinned.given(worker_id) for _ in range(4)]
    assert [len(each) for each in given] == [10, 10, 10, 0]
    assert sorted(task_id for each in given for task_id in each) == [task.id for task in tasks]
    pinned.strikes()


async def test_a_higher_priority_and_a_lower_one_are_found_at_once_and_in_order(pinned: Pinned) -> None:
    worker_id = await pinned.stand()
    low, same, high = [await submitted(pinned.store, priority=priority) for priority in (-5, 0, 5)]
    assert [await pinned.given(worker_id, 1) for _ in range(4)] == [[high], [same], [low], []]
    low, same, high = [await submitted(pinned.store, priority=priority) for priority in (-5, 0, 5)]
    assert await pinned.given(worker_id) == [high, same, low]
    pinned.strikes()


async def test_another_tenant_is_found_at_once_and_served_in_turn(pinned: Pinned) -> None:
    worker_id = await pinned.stand()
    before, after = [await submitted(pinned.store, tenant=tenant) for tenant in ("east", "south")]
    mine = await submitted(pinned.store)
    assert sorted(await pinned.given(worker_id)) == sorted([before, after, mine])
    assert pinned.claims[-2:] == ["claim_nearby", "claim_fairly"]


async def test_a_task_with_a_key_is_found_at_once(pinned: Pinned) -> None:
    worker_id = await pinned.stand()
    task_id = await submitted(pinned.store, concurrency_key="k")
    assert await pinned.given(worker_id) == [task_id]
    assert pinned.claims[-2:] == ["claim_nearby", "claim_fairly"]


async def test_a_limit_that_is_set_meanwhile_binds(pinned: Pinned) -> None:
    worker_id = await pinned.stand()
    await pinned.store.set_limit(Limit(tenant="north", at_once=3), "somebody")
    await pinned.store.submit([new_task() for _ in range(5)])
    assert len(await pinned.given(worker_id)) == 1  # two run already
    assert pinned.claims[-2:] == ["claim_nearby", "claim_fairly"]


@pytest.mark.parametrize(
    ("values", "chosen"),
    [({}, []), ({"tenant": "east"}, []), ({"concurrency_key": "k"}, ["claim_fairly"])],
)
async def test_what_lies_behind_the_front_is_hinted_at_and_found(
    pinned: Pinned, values: dict[str, Any], chosen: list[str]
) -> None:
    worker_id = await pinned.stand()
    await _hidden_and_found(pinned, worker_id, "claim_nearby", values)
    assert pinned.claims[-1 - len(chosen) :] == ["claim", *chosen]


async def test_what_is_older_than_the_oldest_is_hinted_at_and_found(pinned: Pinned) -> None:
    worker_id = await pinned.choose()
    await _hidden_and_found(pinned, worker_id, "claim_fairly, nearby", {})
    assert pinned.claims[-1] == "claim"


async def _hidden_and_found(pinned: Pinned, worker_id: WorkerId, nearby: str, values: dict[str, Any]) -> None:
    """A task is given a time that has been for long, and is found because somebody says when to look."""
    task_id = await submitted(pinned.store, **values)
    pinned.say("update agentplat.queue set run_at = run_at - interval '1 hour' where task_id = %s", task_id)
    told = asyncio.Event()
    pinned.store.subscribe(lambda hint: told.set() if hint is Hint.WORK else None)
    given = await pinned.given(worker_id)
    if not given:  # otherwise the look from the start was due in this very moment
        pinned.strikes(nearby)
        async with asyncio.timeout(60):
            while not given:
                await told.wait()  # and nobody else looks again
                told.clear()
                given = await pinned.given(worker_id)
    assert given == [task_id]


async def test_who_finds_nothing_to_choose_from_is_told_to_look_once_and_not_for_ever(pinned: Pinned) -> None:
    worker_id = await pinned.choose()
    told = asyncio.Event()
    pinned.store.subscribe(lambda hint: told.set() if hint is Hint.WORK else None)
    assert await pinned.given(worker_id) == []
    async with asyncio.timeout(60):
        await told.wait()
    told.clear()
    assert await pinned.given(worker_id) == []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(6):  # longer than the longest time between two looks here
            await told.wait()


async def test_a_worker_goes_back_to_claims_that_choose_nothing_when_there_is_nothing_to_choose(pinned: Pinned) -> None:
    worker_id = await pinned.choose()
    async with asyncio.timeout(60):
        while pinned.claims[-1] != "claim_nearby":
            task_id = await submitted(pinned.store)
            assert await pinned.given(worker_id) == [task_id]
            await asyncio.sleep(0.2)


async def test_what_waits_in_another_queue_holds_no_claim_up_and_is_not_forgotten(pinned: Pinned) -> None:
    await pinned.store.submit([new_task(queue="slow") for _ in range(600)])
    worker_id = await pinned.choose()
    for tenant in ("east", "north"):
        task_id = await submitted(pinned.store, tenant=tenant)
        assert await pinned.given(worker_id) == [task_id]
    pinned.strikes("claim_fairly, nearby")
    assert len(await pinned.store.claim(worker_id, 1000, queues=["slow"])) == 600


async def test_claims_that_choose_begin_at_the_oldest_and_find_what_is_new(pinned: Pinned) -> None:
    worker_id = await pinned.choose()
    wanted: list[dict[str, Any]] = [
        {"tenant": "east"}, {"tenant": "north", "priority": 5}, {"tenant": "south"}, {"tenant": "zoo", "priority": -5},
        {"tenant": "north", "concurrency_key": "k"}, {"tenant": "between", "concurrency_key": "k", "priority": 1},
    ]  # fmt: skip
    tasks = [await submitted(pinned.store, **each) for each in wanted]
    assert sorted(await pinned.given(worker_id)) == sorted(tasks)
    pinned.strikes("claim_fairly, nearby")


async def test_claims_that_choose_serve_in_turn_from_the_oldest_on(pinned: Pinned) -> None:
    worker_id = await pinned.choose()
    await pinned.store.submit([new_task(tenant="east") for _ in range(40)])
    await pinned.store.submit([new_task(tenant="north") for _ in range(20)])
    claimed = [claim.tenant for _ in range(10) for claim in await pinned.store.claim(worker_id, 2)]
    assert sorted(claimed[6:]) == ["east"] * 7 + ["north"] * 7  # behind what remained of a turn
    pinned.strikes("claim_fairly, nearby")


async def test_a_task_for_later_does_not_hide_those_that_are_due(pinned: Pinned) -> None:
    worker_id = await working(pinned.store)
    for tenant in ("east", "north"):
        await submitted(pinned.store, tenant=tenant, run_at=datetime.now(UTC) + timedelta(hours=1))
    assert await pinned.given(worker_id) == []
    task_id = await submitted(pinned.store, tenant="east")
    assert await pinned.given(worker_id) == [task_id]
    pinned.strikes("claim_fairly, nearby")


async def test_a_limit_binds_claims_that_begin_at_the_oldest(pinned: Pinned) -> None:
    worker_id = await pinned.choose()
    await pinned.store.set_limit(Limit(tenant="north", at_once=3), "somebody")
    await pinned.store.submit([new_task() for _ in range(5)])
    assert len(await pinned.given(worker_id)) == 1  # two run already
    pinned.strikes("claim_fairly, nearby")


async def test_a_worker_whose_lease_has_ended_gets_nothing_at_the_front(pinned: Pinned) -> None:
    worker_id = await pinned.stand()
    await pinned.store.renew_worker(worker_id, -1.0)
    await submitted(pinned.store)
    assert await pinned.given(worker_id) == []
    pinned.strikes()


async def test_claimers_at_the_front_never_share_a_task_and_leave_none(pinned: Pinned) -> None:
    worker_ids = [await pinned.stand() for _ in range(4)]
    tasks = [new_task(priority=number % 3) for number in range(400)]
    await pinned.store.submit(tasks)
    given = await asyncio.gather(*(pinned.given(worker_id, 7) for worker_id in worker_ids * 20))
    given.append(await pinned.given(worker_ids[0], 400))
    found = [task_id for each in given for task_id in each]
    assert len(found) == len(set(found))
    assert set(found) == {task.id for task in tasks}
    pinned.strikes()


def test_the_oldest_moves_on_with_claims_that_are_slow_and_holds_until_the_next_look_from_the_start() -> None:
    slow = Found(claims=(), took=0.02, oldest=SINCE)
    first = begins(None, slow, 10.0)
    assert first is not None
    assert first.since < SINCE
    assert first.full_at == pytest.approx(12.0)
    later = begins(first, Found(claims=(), took=0.02, oldest=SINCE + timedelta(seconds=1)), 11.0)
    assert later is not None
    assert (later.since, later.full_at) == (first.since + timedelta(seconds=1), first.full_at)
    assert begins(later, Found(claims=(), took=0.001), 11.5) is later
    assert begins(None, Found(claims=(), took=0.001), 12.0) is None


SINCE = datetime(2026, 1, 1, tzinfo=UTC)
FOUND = Found(claims=(), took=0.02, reached={0: SINCE})


@given(st.sets(st.integers(-(2**31), 2**31 - 1), max_size=12), st.sets(st.integers(-(2**31), 2**31 - 1)))
def test_each_priority_is_in_one_stretch(known: set[int], others: set[int]) -> None:
    front = Front("north", since=dict.fromkeys(known, SINCE))
    rows = list(zip(*front.stretches().values(), strict=True))
    assert rows == sorted(rows, key=lambda row: -row[0])
    for priority in known | others:
        [(least, most, since)] = [row for row in rows if row[0] <= priority <= row[1]]
        assert (since is not None) == (priority in known) == (least == most == priority and since is not None)


def test_a_front_is_a_moment_behind_what_was_taken_and_goes_back_nearby_only_when_looked_at_from_the_start() -> None:
    front = Front("north")
    front.look(FOUND, 10.0)
    assert front.since[0] < SINCE
    assert front.full_at == pytest.approx(12.0)  # a hundredth of the time
    before, earlier = dict(front.since), Found(claims=(), reached={0: SINCE - timedelta(hours=1)})
    front.advance(earlier)
    assert front.since == before
    front.look(earlier, 10.0)
    assert front.since[0] < before[0]


def test_a_front_knows_a_few_priorities_and_forgets_the_oldest() -> None:
    front = Front("north")
    front.look(Found(claims=(), reached={n: SINCE + timedelta(seconds=n) for n in range(40)}), 0.0)
    assert min(front.since) > 20
    assert max(front.since) == 39


def test_a_look_from_the_start_that_takes_no_time_needs_no_front() -> None:
    assert stands(Front("north"), Found(claims=(), took=0.0009), 0.0) is None
    crowd = Found(claims=cast(Any, [None] * 100), took=0.004)  # each takes its own time, wherever the look begins
    assert stands(Front("north"), crowd, 0.0) is None
    assert stands(None, FOUND, 0.0) is None  # of which tenant, nobody knows
    assert stands(Front("north"), FOUND, 0.0) is not None
