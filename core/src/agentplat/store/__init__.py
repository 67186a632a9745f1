"""SQL: the same statements for PostgreSQL and SQLite wherever the two agree.

The order of locks, in every transaction: the `workers` row, then `queue` rows by task id, then everything else, which
is written only by whoever holds the queue row. Rows that nobody can know yet (a submission's) come in the order
`definitions` by hash, `submissions` by key, the rest. Nobody takes a queue row and then another task's.

| transaction    | workers        | queue                              | everything else                     |
|----------------|----------------|------------------------------------|-------------------------------------|
| submit         |                | inserts                            | definitions, submissions, tasks ... |
| claim          | KEY SHARE, own | UPDATE, SKIP LOCKED                |                                     |
| commit         |                | UPDATE, the whole batch by task id | tasks, journal, calls, inbox, audit |
| tell           |                | UPDATE, one                        | inbox, tasks                        |
| inbox          |                | UPDATE by task id                  |                                     |
| sweep, expire  | UPDATE         | UPDATE by task id, the worker's    |                                     |
| timers, wakes  |                | UPDATE, SKIP LOCKED                |                                     |

On SQLite a writing transaction is alone, and no statement takes a lock of its own.
"""
