"""Workers of a zygote, each kept by the test as a keeper keeps its own: renewed while it lives and is not stopped."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from agentplat.domain.errors import StoreUnavailable
from agentplat.store.renewal import Renewal

from .processes import counting, send

T = TypeVar("T")
LEASE = 1.5
_RENEW = 0.5


@dataclass
class Fledgling:
    """One worker process. `ended` has its exit code, negative for a signal."""

    id: UUID
    pid: int
    ended: asyncio.Future[int]
    is_renewed: bool = True  # not while it is stopped, nor when it was
    was_seen: bool = False  # its row

    def send(self, signum: int) -> None:
        if not self.ended.done():
            send(self.pid, signum)


@dataclass
class Nursery:
    folder: Path
    process: asyncio.subprocess.Process
    renewal: Renewal
    count: Callable[[UUID], int]
    alive: dict[int, Fledgling] = field(default_factory=dict)
    _asked: dict[str, asyncio.Future[Fledgling]] = field(default_factory=dict)
    _at_database: asyncio.Lock = field(default_factory=asyncio.Lock)  # one connection, as a keeper has

    @property
    def deaths(self) -> Counter[str]:
        """How often a worker ended itself, by the point at which."""
        file = self.folder / "deaths"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def refused(self) -> int:
        """How many stale writes were refused, as the workers' logs say."""
        return (self.folder / "workers.log").read_text(errors="replace").count('"event": "lease_lost"')

    def used(self) -> float:
        """Seconds of a processor that the zygote and its dead workers used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    async def fork(self, point: str = "", at: int = 1) -> Fledgling:
        worker_id = uuid4()
        order = {"worker": str(worker_id), "point": point, "at": at, "deaths": str(self.folder / "deaths")}
        asked: asyncio.Future[Fledgling] = asyncio.get_running_loop().create_future()
        self._asked[str(worker_id)] = asked
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({**order, "log": str(self.folder / "workers.log")}).encode() + b"\n")
        return await asked

    async def expire(self, fledgling: Fledgling) -> None:
        """What its keeper does when the process has ended, as often as it takes."""
        while True:
            try:
                return await self._by_thread(self.renewal.expire, fledgling.id)
            except StoreUnavailable:
                await asyncio.sleep(_RENEW)

    async def owned(self, fledgling: Fledgling) -> int:
        """How many tasks it owns, or owned when it died, and nobody has taken them from it yet."""
        return await self._by_thread(self.count, fledgling.id)

    async def renew(self, fledgling: Fledgling) -> None:
        try:
            found = await self._by_thread(self.renewal.renew, fledgling.id, LEASE)
        except StoreUnavailable:
            return
        fledgling.was_seen = fledgling.was_seen or found
        if fledgling.was_seen and not found and fledgling.is_renewed:
            fledgling.send(9)  # its row is gone: a keeper ends it

    async def _by_thread(self, call: Callable[..., T], *given: Any) -> T:
        """To its end, when this is cancelled too: a connection that another thread closes meanwhile is a crash."""
        async with self._at_database:
            thread = asyncio.create_task(asyncio.to_thread(call, *given))
            try:
                return await asyncio.shield(thread)
            finally:
                await asyncio.wait([thread])

    async def renew_all(self) -> None:
        while True:
            for fledgling in tuple(self.alive.values()):
                if fledgling.is_renewed and not fledgling.ended.done():
                    await self.renew(fledgling)
            await asyncio.sleep(_RENEW)

    async def listen(self) -> None:
        """Hear what the zygote says, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            if "worker" in said:
                ended = asyncio.get_running_loop().create_future()
                fledgling = self.alive[said["pid"]] = Fledgling(UUID(said["worker"]), said["pid"], ended)
                self._asked.pop(said["worker"]).set_result(fledgling)
            else:
                self.alive.pop(said["ended"]).ended.set_result(said["code"])


@asynccontextmanager
async def nursery(folder: Path, database_url: str, marks: Path) -> AsyncIterator[Nursery]:
    environment = {
        **os.environ,
        "AGENTPLAT_DATABASE_URL": database_url,
        "AGENTPLAT_IDENTITY__KEY": "0123456789abcdef",
        "AGENTPLAT_LOG__FORMAT": "json",
        "AGENTPLAT_LOG__LEVEL": "warning",
        "AGENTPLAT_WORKER__LEASE_SECONDS": str(LEASE),
        "AGENTPLAT_WORKER__RENEW_SECONDS": str(_RENEW),
        "AGENTPLAT_WORKER__POLL_SECONDS": "0.1",
        "AGENTPLAT_WORKER__CONCURRENCY": "4",
        "MARKS": str(marks),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.zygote"),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    with Renewal(database_url) as renewal, counting(database_url) as count:
        found = Nursery(folder, process, renewal, count)
        beside = [asyncio.create_task(found.listen()), asyncio.create_task(found.renew_all())]
        try:
            yield found
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            for fledgling in tuple(found.alive.values()):
                for signum in (18, 9):  # continue, then kill
                    fledgling.send(signum)
            process.kill()
            await process.wait()
