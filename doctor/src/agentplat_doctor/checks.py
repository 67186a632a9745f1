"""The examination: every predicate over one snapshot of a database."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Uuid, select, text
from sqlalchemy.exc import DBAPIError

from agentplat.domain.errors import StoreUnavailable
from agentplat.store.address import Address, Dialect
from agentplat.store.columns import clock
from agentplat.store.tables import POISON_LIMIT
from agentplat_doctor.asking import Connected, Reader, Rows, Unit, answer
from agentplat_doctor.beside import Beside, beside
from agentplat_doctor.predicates import PREDICATES, UNREADABLE
from agentplat_doctor.questions import EXAMPLES, asked_on, codes
from agentplat_doctor.report import Finding, Report
from agentplat_doctor.snapshot import said_by, snapshot

SLICE = 20_000
"""Tasks whose journals are added up at a time: few enough for the processor's cache, many enough to pay for a plan."""

ENOUGH_FOR_ONE = 128 * 2**20
"""Bytes of a file of SQLite that one process has read before a second one would have begun."""

MINUTE = timedelta(minutes=1)
"""So long everything that is done within seconds may take before it is worth a warning."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many statements are through, and how many there are."""

_LOWEST, _HIGHEST = UUID(int=0), UUID(int=2**128 - 1)
_BOUNDS: Mapping[Dialect, str] = {
    "postgresql": """
SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM agentplat.tasks) AS placed
WHERE place % :size = 0
ORDER BY place
""",
    # From one to the next by the index: to number all rows takes ten times as long, and nothing runs beside it.
    "sqlite": """
WITH RECURSIVE bounds (id) AS (
    SELECT (SELECT min(id) FROM tasks)
    UNION ALL
    SELECT (SELECT t.id FROM tasks AS t WHERE t.id >= b.id ORDER BY t.id LIMIT 1 OFFSET :size)
    FROM bounds AS b WHERE b.id IS NOT NULL
)
SELECT id FROM bounds WHERE id IS NOT NULL ORDER BY id LIMIT -1 OFFSET 1
""",
}


@dataclass(slots=True)
class _Tally:
    """What the statements have found so far."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, rows: Rows) -> None:
        for code, total in {code: total for code, _, total in rows}.items():
            self.counts[code] += total
        for code, example, _ in rows:
            self.examples[code].append(example)

    def finding(self, code: str) -> Finding:
        examples = sorted(set(self.examples[code]))[:EXAMPLES]
        return Finding(predicate=PREDICATES[code], count=self.counts[code], examples=examples)


def examine(url: str, progress: Progress = lambda _done, _of: None) -> Report:
    """What does not hold in the database at `url`. Reads only, and waits for nobody who works on tasks.

    Raises SchemaOutdated when the database is not of this version, StoreUnavailable, SettingsInvalid.
    """
    began = time.monotonic()
    address = Address.parse(url)
    tally = _Tally()
    try:
        with _second(address) as second, snapshot(address) as connections:
            readers = _readers(connections, second)
            tasks, units = _units(connections[0], address.dialect)
            for done, answers in enumerate(_answers(readers, units), 1):
                for rows in answers:
                    tally.add(rows)
                progress(done, len(units))
    except DBAPIError as error:
        raise StoreUnavailable(f"The database does not answer: {said_by(error)}") from error
    asked = {UNREADABLE, *(code for question in asked_on(address.dialect) for code in codes(question))}
    findings = [tally.finding(code) for code in PREDICATES if code in asked]
    return Report(dialect=address.dialect, tasks=tasks, seconds=time.monotonic() - began, findings=findings)


def _units(connection: Connection, dialect: Dialect) -> tuple[int, Sequence[Unit]]:
    """How many tasks there are, and what has to be asked."""
    prefix = "" if dialect == "sqlite" else "agentplat."
    tasks: int = connection.execute(text(f"SELECT count(*) FROM {prefix}tasks")).scalar_one()  # noqa: S608 - our own name
    bounds = text(_BOUNDS[dialect]).columns(id=Uuid())
    between = [row.id for row in connection.execute(bounds, {"size": SLICE})]
    given = _given(connection.execute(select(clock())).scalar_one())
    slices = [
        {**given, "low": low, "high": high} for low, high in zip([_LOWEST, *between], [*between, _HIGHEST], strict=True)
    ]
    asked = asked_on(dialect)
    sieved = [question for question in asked if question.sieved and dialect == "sqlite"]
    units = []
    for question in asked:
        if question not in sieved:
            units += [Unit([question], values) for values in (slices if question.sliced else [given])]
    return tasks, [*units, *(Unit(sieved, values, sieved=True) for values in slices if sieved)]


def _given(now: datetime) -> Mapping[str, Any]:
    return {
        "soon": now + MINUTE,
        "minute_ago": now - MINUTE,
        "long_ago": now - 10 * MINUTE,
        "poison_limit": POISON_LIMIT,
    }


def _second(address: Address) -> AbstractContextManager[Beside | None]:
    """Another process, where there is enough to read for it."""
    if address.file is None or not address.file.exists() or address.file.stat().st_size < ENOUGH_FOR_ONE:
        return nullcontext()
    return beside(address.file)


def _readers(connections: Sequence[Connection], second: Beside | None) -> Sequence[Reader]:
    """Those that answer at the same time, of the same moment."""
    first: Sequence[Reader] = [Connected(connection) for connection in connections]
    return first if second is None or not second.meet(connections[0]) else [*first, second]


def _answers(readers: Sequence[Reader], units: Sequence[Unit]) -> Iterator[Sequence[Rows]]:
    """What each unit has found, in the order in which they come."""
    free: SimpleQueue[Reader] = SimpleQueue()
    for reader in readers:
        free.put(reader)

    def ask(unit: Unit) -> Sequence[Rows]:
        reader = free.get()
        try:
            return answer(reader, unit)
        finally:
            free.put(reader)

    with ThreadPoolExecutor(max_workers=len(readers)) as executor:
        try:
            for future in as_completed([executor.submit(ask, unit) for unit in units]):
                yield future.result()
        finally:
            executor.shutdown(cancel_futures=True)
