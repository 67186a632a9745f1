"""A process that dies between the last statement of a transaction and its COMMIT leaves nothing behind."""

import asyncio
import signal
import subprocess
import sys

import pytest

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Store
from agentplat.domain.task import TaskState

from .making import cancel, claimed, committed, started, succeeded

DIE = """
import asyncio, os, signal, sys
from uuid import UUID
from agentplat.contracts.store import CallRow, End, InboxItem, NewTask, Write
from agentplat.domain.events import TaskFinished
from agentplat.domain.task import Lease, TaskState
from agentplat.domain.usage import Usage
from agentplat.store.address import Address
from agentplat.store.postgres import Postgres
from agentplat.store.script import Round
from agentplat.store.sqlite import Sqlite
from agentplat.store.transactions import claims, submission, sweeping, telling
from agentplat.store.transactions.commit import commit

url, what, task, worker, fence = sys.argv[1:]
address = Address.parse(url)
database = Sqlite(address.file) if address.file else Postgres(address, application="dying")
lease = Lease(UUID(task), int(fence), UUID(worker))
end = Write(
    lease=lease, first_seq=4, events=[TaskFinished(status="done", output={}, failure=None)],
    calls=[CallRow(path="p", try_number=1, number=1, kind="tool", name="t", status="finished", content={})],
    usage=Usage(input_tokens=1), closing=End(status=TaskState.DONE, output={}, failure=None))
new = NewTask(id=UUID(int=1), tenant="t", type="agent:x", input={}, trace_id="0", idempotency_key="k")
item = InboxItem(id=UUID(int=2), task_id=lease.task_id, kind="cancel", key="c", name="", payload=None)
works = {
    "tell": lambda t: telling.tell(t, item),
    "sweep": lambda t: sweeping.return_worker(t, lease.worker_id, dead=True, blame=lease.task_id),
}
scripts = {
    "commit": lambda again: commit([end], again, far=address.file is None),
    "submit": lambda again: submission.submit([new], [], again, far=True),
}

def die():
    print("about to commit", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

async def work(transaction):
    await works[what](transaction)
    die()

def dying(script):
    asked = next(script)
    while not asked.last:
        asked = script.send((yield asked))
    yield Round(asked.statements)  # all of it, but not its end
    die()

if what in works:
    asyncio.run(database.write(work))
else:
    asyncio.run(database.perform(lambda again: dying(scripts[what](again))))
"""


@pytest.mark.parametrize("what", ["commit", "submit", "tell", "sweep"])
async def test_nothing_is_kept_of_a_transaction_whose_process_died(store: Store, database_url: str, what: str) -> None:
    claim = await claimed(store)
    await committed(store, claim.lease, 3, started(), under_way=True)
    task_id, worker_id = claim.lease.task_id, claim.lease.worker_id
    assert worker_id is not None
    before = (await store.task(task_id), await store.journal(task_id), await store.audit())
    arguments = [database_url, what, str(task_id), str(worker_id), str(claim.lease.fence)]
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", DIE, *arguments, stdout=subprocess.PIPE)
    printed, _ = await child.communicate()
    assert (printed, child.returncode) == (b"about to commit\n", -signal.SIGKILL)
    # The same again, by somebody who lives: it neither waits nor finds anything.
    await committed(store, claim.lease, 4, succeeded())
    assert await store.inbox([claim.lease]) == []
    assert await store.calls(task_id) == []
    assert len(await store.tasks(TaskFilter())) == 1
    assert (await store.task(task_id)).status is TaskState.RUNNING
    assert (await store.journal(task_id))[:-1] == before[1]
    assert await store.audit() == before[2]
    assert not (await store.task(task_id)).cancel_requested
    assert await store.tell(cancel(task_id))
