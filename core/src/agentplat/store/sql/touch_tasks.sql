-- Purpose     Let watchers look at tasks again.
-- Parameters  at, task_ids
-- Returns     nothing
-- Invariant   Runs under the locks of the queue rows.
-- Index       primary key
UPDATE agentplat.tasks SET updated_at = :at
WHERE id = ANY (:task_ids::uuid[])                                                     -- postgresql
WHERE id IN (SELECT value FROM json_each(:task_ids))                           -- sqlite
