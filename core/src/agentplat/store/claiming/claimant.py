"""How a process claims: plainly, by choice where there is one, nearby where a look from the start is slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from uuid import uuid4

from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Claim
from agentplat.domain.ids import WorkerId
from agentplat.store.database import Database
from agentplat.store.transactions import claims

_CHOOSES_ON = 1.0  # seconds for which claims go on to choose without asking whether there is anything to choose


class Claimant:
    """What earlier claims of this process have seen says which statement the next one is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chose_at: dict[tuple[str, bool], float] = {}  # when claims of a queue, or of its suspects, had to choose
        self._fronts: dict[str, claims.Front] = {}  # where claims of a queue stand, if a look from the start takes long
        self._oldest: dict[str, claims.Oldest] = {}  # where those begin that choose, if one from the start takes long
        self._further: dict[str, asyncio.TimerHandle] = {}  # when such a look is due, and somebody is told to take it
        self.limits = False  # whether there are any, as the last claim saw it that had to choose

    def close(self) -> None:
        """Nobody is told anything any more."""
        for due in self._further.values():
            due.cancel()

    async def claim(
        self, worker_id: WorkerId, limit: int, queues: Sequence[str], *, suspects: bool = False
    ) -> Sequence[Claim]:
        """At most `limit`, of one queue after the other."""
        claimed: list[Claim] = []
        for name in queues:
            if len(claimed) >= limit:
                break
            # Random, and the same for every attempt: a claim whose acknowledgement was lost is found by it.
            wanted = claims.Wanted(
                worker_id=worker_id, claim_id=uuid4(), queue=name, limit=limit - len(claimed), suspects=suspects
            )
            claimed += await self._claim_from(wanted)
        return claimed

    async def _claim_from(self, wanted: claims.Wanted) -> Sequence[Claim]:
        """Of one queue. Where there was something to choose a moment ago there is again, most likely."""
        chose_at = self._chose_at.get((wanted.queue, wanted.suspects))
        oldest = None if wanted.suspects else self._oldest.pop(wanted.queue, None)
        if oldest is not None and time.monotonic() >= oldest.full_at:
            oldest = None
        if oldest is None and (chose_at is None or time.monotonic() - chose_at > _CHOOSES_ON):
            found = await self._claim_plainly(wanted)
            if not found.chooses:
                return self._learned(found)
            self._chose_at[wanted.queue, wanted.suspects] = time.monotonic()
        return self._learned(await self._claim_by_choice(wanted, oldest))

    async def _claim_by_choice(self, wanted: claims.Wanted, oldest: claims.Oldest | None) -> claims.Found:
        """From the oldest that may be there, or from the start where that takes no time or was not done for long."""
        found = await self._database.perform(lambda again: claims.claim_by_choice(again, wanted, oldest))
        if (begins := claims.begins(oldest, found, time.monotonic())) is not None:
            self._oldest[wanted.queue] = begins
        if oldest is not None and len(found.claims) < wanted.limit:  # otherwise who is idle would claim for ever
            self._look_further(wanted.queue, oldest.full_at - time.monotonic())
        return found

    async def _claim_plainly(self, wanted: claims.Wanted) -> claims.Found:
        """From where the queue's claims stand, or from the start where that takes no time or was not done for long."""
        far = self._database.dialect == "postgresql"
        front = None if wanted.suspects else self._fronts.pop(wanted.queue, None)
        if front is None or time.monotonic() >= front.full_at:
            found = await self._database.perform(lambda again: claims.claim_plainly(again, wanted, far=far))
            front = None if wanted.suspects else claims.stands(front, found, time.monotonic())
        else:
            nearby = front
            found = await self._database.perform(lambda again: claims.claim_nearby(again, wanted, nearby))
            front.advance(found)
            if len(found.claims) < wanted.limit:
                self._look_further(wanted.queue, front.full_at - time.monotonic())
        if front is not None and not found.chooses:
            self._fronts[wanted.queue] = front
        return found

    def _look_further(self, queue: str, seconds: float) -> None:
        """What lies behind the front is nobody's news: whoever put it there may be gone."""
        due = self._further.get(queue)
        if due is None or due.when() <= asyncio.get_running_loop().time():
            hear = self._database.hints.heard
            self._further[queue] = asyncio.get_running_loop().call_later(seconds, hear, [Hint.WORK])

    def _learned(self, found: claims.Found) -> Sequence[Claim]:
        if found.limits is not None:
            self.limits = found.limits
            if found.claims:
                # A turn is not more than a tenant's share, so less than was asked for need not be all there is.
                self._database.hints.heard([Hint.WORK])
        if found.rates:
            self._database.hints.give(
                Hint.TIMER
            )  # when there will be room is known to the database, and a sweep reads it
        return found.claims
