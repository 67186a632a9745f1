"""How operation is put at risk, and how a file is damaged."""

from __future__ import annotations

from datetime import UTC, timedelta

from sqlalchemy import text, update

from agentplat.store.tables import queue, tasks, workers

from .hand import Hand, drill, id_of
from .healthy import WORKER

_COUNTED = "SELECT pg_stat_force_next_flush();"
"""In one breath with what is to be counted: sessions tell what they did when they like, and a pooler has several."""


def _queued(hand: Hand, task: str, **values: object) -> None:
    hand.do(update(queue).where(queue.c.task_id == id_of(task)).values(**values))


@drill("timer_overdue", "sleeping")
def a_timer_that_nobody_fires(hand: Hand) -> None:
    _queued(hand, "sleeping", run_at=hand.ago(minutes=2))


@drill("worker_not_swept")
def a_lease_that_ended(hand: Hand) -> list[str]:
    hand.do(update(workers).values(lease_until=hand.ago(minutes=2)))
    return [str(WORKER)]


@drill("poisoned_not_ended", "pending")
def a_third_crash(hand: Hand) -> None:
    _queued(hand, "pending", crashes=3, suspect=True, ready=False, run_at=hand.ago(minutes=2))


@drill("handed_back", "pending")
def nobody_has_the_agent(hand: Hand) -> None:
    _queued(hand, "pending", reason="No worker has the agent.", run_at=hand.ago(minutes=2))


@drill("waits_for_worker", "pending")
def nobody_works(hand: Hand) -> None:
    _queued(hand, "pending", run_at=hand.ago(minutes=11))


@drill("cancel_overdue", "told")
def a_cancel_that_nobody_heeds(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("told")).values(cancel_requested_at=hand.ago(minutes=2)))


@drill("table_bloated", dialects=["postgresql"])
def many_dead_rows_of_workers(hand: Hand) -> list[str]:
    hand.say(f"""
        INSERT INTO agentplat.workers SELECT gen_random_uuid(), tenant_id, host, pid, version, capacity, plugins,
        started_at, lease_until FROM agentplat.workers, generate_series(1, 12000) WHERE id = '{WORKER}';
        DELETE FROM agentplat.workers WHERE id <> '{WORKER}'; {_COUNTED}""")
    return ["workers"]


@drill("vacuum_behind", dialects=["postgresql"])
def many_dead_rows_of_definitions(hand: Hand) -> list[str]:
    hand.say(f"""
        INSERT INTO agentplat.definitions SELECT 'x' || n, 'north', 'x', NULL, '{{}}', now()
        FROM generate_series(1, 12000) AS n;
        DELETE FROM agentplat.definitions WHERE name = 'x'; {_COUNTED}""")
    return ["definitions"]


@drill("autovacuum_off", dialects=["postgresql"])
def a_table_that_nobody_vacuums(hand: Hand) -> list[str]:
    hand.say("ALTER TABLE agentplat.definitions SET (autovacuum_enabled = off)")
    return ["definitions"]


@drill("wraparound_near", dialects=["postgresql"])
def a_table_that_was_not_frozen(hand: Hand) -> list[str]:
    hand.say("""
        UPDATE pg_class SET relfrozenxid =
            ((4294967296 + pg_current_xact_id()::text::bigint - 1100000000) % 4294967296)::text::xid
        WHERE oid = 'agentplat.definitions'::regclass""")
    return ["definitions"]


@drill("index_invalid", dialects=["postgresql"])
def an_index_that_was_broken_off(hand: Hand) -> list[str]:
    hand.say("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'agentplat.ix_tasks_user'::regclass")
    return ["agentplat.ix_tasks_user"]


@drill("partition_missing", dialects=["postgresql"])
def months_that_nobody_made(hand: Hand) -> list[str]:
    following = hand.now.astimezone(UTC).replace(day=1) + timedelta(days=32)
    name = f"journal_{following:%Y_%m}"
    hand.say(f"DROP TABLE agentplat.{name}")
    return [name]


@drill("partition_bypassed", dialects=["postgresql"], also=["journal_without_task"])
def rows_of_the_year_2100(hand: Hand) -> list[str]:
    hand.say("""
        INSERT INTO agentplat.journal (task_id, seq, tenant_id, fence, at, kind, content)
        SELECT '03bb2cc3-d800-7000-8000-000000000001', seq, tenant_id, fence, at, kind, content
        FROM agentplat.journal WHERE seq = 1 LIMIT 1""")
    return ["journal_default"]


@drill("file_damaged", dialects=["sqlite"])
def a_page_of_another_file(hand: Hand) -> list[str]:
    """The root page of an index, which no statement of an examination reads."""
    hand.say("PRAGMA wal_checkpoint(TRUNCATE)")
    page = hand.connection.execute(text("SELECT rootpage FROM sqlite_master WHERE name = 'ix_tasks_user'")).scalar_one()
    size = hand.connection.execute(text("PRAGMA page_size")).scalar_one()
    with hand.file.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    return []
