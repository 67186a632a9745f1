"""The predicates that warn: no promise is broken, but somebody should look before one gets slow."""

from __future__ import annotations

from agentplat_doctor.report import Predicate


def _warning(code: str, wrong: str, meaning: str, next: str) -> Predicate:
    return Predicate(code=code, level="warning", wrong=wrong, meaning=meaning, next=next)


_WORK = (
    _warning(
        "timer_overdue",
        "A timer has been due for more than a minute.",
        "Nobody sweeps: tasks that wait for a time or for their next try do not go on.",
        "Start a worker or an API process: each of them sweeps. If some run, look for `store_away` and `loop_broke` in "
        "their logs.",
    ),
    _warning(
        "worker_not_swept",
        "The lease of a worker ended more than a minute ago, and its tasks were not returned.",
        "Nobody sweeps: what the dead worker owned does not go on.",
        "Start a worker or an API process: each of them sweeps.",
    ),
    _warning(
        "poisoned_not_ended",
        "A task brought down three workers more than a minute ago, and was not ended.",
        "Nobody sweeps: the task rests, but nobody is told.",
        "Start a worker or an API process: each of them sweeps.",
    ),
    _warning(
        "handed_back",
        "Workers handed a task back more than a minute ago, and none has taken it since.",
        "No worker has the agent, tool, strategy or model that it needs, or none runs.",
        "The task's `reason` says what is missing. Install it where a worker runs, and start that worker again.",
    ),
    _warning(
        "waits_for_worker",
        "A task has been ready for more than ten minutes.",
        "No worker runs, or there are too few for what comes in.",
        "Start workers, or more of them; see `agentplat_tasks_owned` of those that run.",
    ),
    _warning(
        "cancel_overdue",
        "A task was asked to end more than a minute ago, and has not.",
        "Its worker does not look into the inbox, or no worker has it.",
        "See whether its worker lives. Killing it is safe; the next owner ends the task.",
    ),
    _warning(
        "schedule_overdue",
        "A schedule has been due for more than a minute, and was not looked at.",
        "Nobody sweeps: what should run by itself does not.",
        "Start a worker or an API process: each of them sweeps. What becomes of the missed times, `catch_up` says.",
    ),
    _warning(
        "schedule_fault",
        "The last due time of a schedule made no task.",
        "Its workflow is gone or not valid, or does not take its input any more. It is tried again at its next time.",
        "`agentplat schedules show` says why. Mend it, then `agentplat schedules backfill` makes up for the time.",
    ),
    _warning(
        "unknown_event",
        "A journal has events of a kind that this version does not know.",
        "A newer version of agentplat works on this database, and this one cannot read those tasks.",
        "Update this installation. If no newer version is in use, somebody wrote to the table by hand.",
    ),
    _warning(
        "event_from_the_future",
        "An event has a time that is still to come.",
        "The database's clock was set back, or somebody else's clock was used.",
        "Check the clock of the database's host. Leases last longer or shorter until it has caught up.",
    ),
)

_POSTGRESQL = (
    _warning(
        "transaction_pins_rows",
        "PostgreSQL: a transaction has been open for more than a minute.",
        "Dead rows cannot be removed while it lasts, and every claim has to walk over them.",
        "End it (`SELECT pg_terminate_backend(<process>)`, `ROLLBACK PREPARED`, or drop the slot). Find who did it.",
    ),
    _warning(
        "table_bloated",
        "PostgreSQL: a hot table has many more dead rows than living ones.",
        "Claims and renewals get slower with every dead row.",
        "Look for `transaction_pins_rows` first. Then `VACUUM agentplat.<table>`.",
    ),
    _warning(
        "vacuum_behind",
        "PostgreSQL: autovacuum has not come to a table long after it should have.",
        "The table grows, and what reads it gets slower.",
        "Look for `transaction_pins_rows` first. Give autovacuum more workers, or a higher cost limit.",
    ),
    _warning(
        "autovacuum_off",
        "PostgreSQL: autovacuum is switched off, for the server or for a table of agentplat.",
        "The queue is rewritten all the time, and gets slower until it stands still.",
        "Set `autovacuum = on`, and `ALTER TABLE agentplat.<table> RESET (autovacuum_enabled)`.",
    ),
    _warning(
        "wraparound_near",
        "PostgreSQL: a table has not been frozen for a billion transactions.",
        "At two billion PostgreSQL stops accepting writes.",
        "`VACUUM (FREEZE) agentplat.<table>`, and find out what keeps autovacuum from it.",
    ),
    _warning(
        "index_invalid",
        "PostgreSQL: an index is invalid.",
        "It was being built and was broken off: it costs every write, and serves no query.",
        "`REINDEX INDEX CONCURRENTLY agentplat.<index>`.",
    ),
    _warning(
        "partition_missing",
        "PostgreSQL: journal or calls have no partition for this month, or for the next one.",
        "What belongs there goes into the DEFAULT partition, and has to be moved later, under a lock.",
        "Look for `partition_put_off` in the logs: workers and API processes make partitions, if their role owns the "
        "tables. If not, run `agentplat db upgrade` once a month as the role that does.",
    ),
    _warning(
        "partition_bypassed",
        "PostgreSQL: a DEFAULT partition has rows.",
        "They came before the partition of their month, and are removed row by row.",
        "`agentplat db upgrade` makes the missing partitions and moves the rows there. Rows of years to come: somebody "
        "wrote ids by hand, or a clock was wrong.",
    ),
    _warning(
        "commits_may_be_lost",
        "PostgreSQL: a setting lets acknowledged commits get lost in a crash.",
        "An accepted task may be gone after a power cut. That is not promised to survive.",
        "Set `fsync`, `full_page_writes` and `synchronous_commit` to `on`.",
    ),
)

WARNINGS = (*_WORK, *_POSTGRESQL)
