-- Purpose     Let watchers look at tasks again.
-- Parameters  at (none: now), task_ids
-- Returns     nothing
-- Invariant   Runs under the locks of the queue rows.
-- Index       primary key
UPDATE agentplat.tasks
SET updated_at = coalesce(:at, now())                                           -- postgresql
SET updated_at = :at                              -- sqlite
WHERE id = ANY (:task_ids::uuid[])                                                     -- postgresql
WHERE id IN (SELECT value FROM json_each(:task_ids))                           -- sqlite
