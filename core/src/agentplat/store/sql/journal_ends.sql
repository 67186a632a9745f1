-- Purpose     Say where the journals of some tasks end, and what time it is.
-- Parameters  task_ids
-- Returns     task_id, last (NULL without any event), now: one row for each id
-- Invariant   Is sent behind lock_tasks.sql: its view of the journal is younger than those locks, so nobody but who holds
--             them adds to what it sees.
-- Index       pk_journal, read backwards: one row for each task
SELECT t.task_id, (SELECT max(j.seq) FROM agentplat.journal AS j WHERE j.task_id = t.task_id) AS last,
       (SELECT clock_timestamp()) AS now
FROM unnest(:task_ids::uuid[]) AS t (task_id)                                  -- postgresql
FROM (SELECT value AS task_id FROM json_each(:task_ids)) AS t                  -- sqlite
