"""A thousand items, fifty at a time, whose worker and keeper are killed in the middle: each has one result."""

import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentplat.contracts.interface import JournalView, Submission
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient

from .processes import Keeper, Workers, send, wait_for
from .test_kills import ended, is_dead, until
from .traffic import SEED, told

ITEMS = 1_000
AT_ONCE = 50
WORKFLOW = f"""name: crowd
strategy: sequential
steps:
  - name: each
    agent: stepper
    foreach: ${{{{ input.numbers }}}}
    max_parallel: {AT_ONCE}
    input: {{step: "n${{{{ item }}}}", pause: 0.05}}
"""


@pytest.fixture
def project(workers: Workers) -> Path:
    (workers.folder / "workflows" / "crowd.yaml").write_text(WORKFLOW)
    return workers.folder


def kill(keeper: Keeper) -> None:
    """Kill worker and keeper, and return when both are gone."""
    worker = keeper.worker
    for pid in (keeper.process.pid, worker):
        send(pid, signal.SIGKILL)
    assert keeper.process.wait() == -signal.SIGKILL
    wait_for(lambda: is_dead(worker))


def paths(journal: Sequence[JournalView], kind: str) -> list[str]:
    return [str(event.content["path"]) for event in journal if event.kind == kind]


async def test_a_thousand_items_have_one_result_each_however_often_their_worker_is_killed(
    workers: Workers, project: Path, client: LocalClient, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    workers.lease_seconds = 6.0  # a lease that ends for want of a processor is one more claim, and not what this counts
    keeper = workers.start()
    submission = Submission(type="workflow:crowd", input={"numbers": list(range(ITEMS))})
    task_id = (await client.submit(submission)).id
    journal: list[JournalView] = []

    async def have_ended(count: int) -> bool:
        journal.extend(await client.journal(task_id, len(journal)))
        return len(paths(journal, "step_succeeded")) >= count

    interrupted: Counter[str] = Counter()
    for quarter in (250, 500, 750):
        at_least = quarter + chance.randrange(-100, 0)
        await until(lambda at_least=at_least: have_ended(at_least))  # type: ignore[misc]
        kill(keeper)
        await have_ended(0)
        results = paths(journal, "step_succeeded")
        under_way = set(paths(journal, "step_started")) - set(results)
        # The fault struck: some items had their result, some ran, and some had not begun.
        assert 0 < len(results) < ITEMS - AT_ONCE, f"seed {SEED}: killed after {len(results)} results"
        assert 0 < len(under_way) <= AT_ONCE, f"seed {SEED}: {len(under_way)} items ran"
        assert (await client.task(task_id)).status is not TaskState.DONE
        interrupted.update(under_way)
        keeper = workers.start()

    assert await ended(client, task_id) is TaskState.DONE, f"seed {SEED}"
    await have_ended(0)
    results = paths(journal, "step_succeeded")
    assert Counter(results) == Counter({f"each[{n}]": 1 for n in range(ITEMS)}), f"seed {SEED}"
    assert (await client.task(task_id)).output == {"result": [{"step": f"n{n}"} for n in range(ITEMS)]}
    assert [event.seq for event in journal] == list(range(1, len(journal) + 1))
    assert [event.kind for event in journal].count("task_claimed") == 4, "no worker died but those that were killed"
    # Only what ran when a worker died ran again, once for each death.
    begun = workers.executions(task_id)
    assert begun.keys() == {f"n{n}" for n in range(ITEMS)}
    again = {f"each[{step.removeprefix('n')}]": count - 1 for step, count in begun.items() if count > 1}
    assert all(count <= interrupted[path] for path, count in again.items()), f"seed {SEED}: {again}"
    struck = f"{interrupted.total()} items were interrupted, {sum(again.values())} begun once more"
    told(capsys, f"foreach, seed {SEED}: {ITEMS} items, 3 times killed, {struck}")
