"""A write that is sent again while its first attempt is still being committed, without anybody who waits for it."""

import pytest

from agentplat.contracts.store import Committed, Lost, Rejected, Store
from agentplat.domain.events import Event

from .making import block, claimed, kinds, writing
from .rows_held import holding

HOLD_QUEUE_ROW = "select 1 from agentplat.queue where task_id = %s for update"
WRITE = """
    insert into agentplat.journal (task_id, seq, tenant_id, fence, at, kind, content)
    values (%s, 3, 'north', 1, now(), %s, %s)
"""


@pytest.mark.parametrize(("kept", "outcome"), [(block("tea"), Committed), (block("coffee"), Lost)])
@pytest.mark.parametrize("beside", [0, 1])
async def test_it_was_kept_if_what_is_there_then_is_its_own(
    store_on_postgres: Store, postgres_url: str, kept: Event, outcome: type, beside: int
) -> None:
    store = store_on_postgres  # on SQLite a writing transaction is alone from its first moment
    claim, *others = [await claimed(store) for _ in range(1 + beside)]
    task_id, write = claim.lease.task_id, writing(claim.lease, 3, block("tea"))
    async with holding(postgres_url, HOLD_QUEUE_ROW, task_id) as held:
        more = [writing(other.lease, 3, block()) for other in others]
        repetition = await held.behind(store.commit([write, *more]))
        [(kind, text)] = writing(claim.lease, 3, kept).encoded
        await held.holder.execute(WRITE.encode(), [task_id, kind, text])
        await held.release()
        result, *rest = await repetition
    assert isinstance(result, outcome), result
    assert all(isinstance(each, Committed) for each in rest)
    assert len(await kinds(store, task_id)) == 3


async def test_a_value_that_no_attempt_can_keep_is_refused(store: Store) -> None:
    claim = await claimed(store)
    [result] = await store.commit([writing(claim.lease, 3, block("\x00"))])
    assert isinstance(result, Rejected)
