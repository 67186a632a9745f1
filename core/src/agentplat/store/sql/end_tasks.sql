-- Purpose     Write the end of tasks into their rows.
-- Parameters  at (none: now); for each task: task_id, status, output, failure
-- Returns     nothing
-- Invariant   Runs under the locks of the queue rows, in the transaction that deletes those.
-- Index       primary key: the array keeps the update on it, whatever the statistics say
UPDATE agentplat.tasks AS t
SET updated_at = coalesce(:at, now()), finished_at = coalesce(:at, now()),     -- postgresql
    status = e.status, output = e.output::jsonb, failure = e.failure::jsonb    -- postgresql
FROM unnest(:task_id::uuid[], :status::text[], :output::text[], :failure::text[]) AS e (task_id, status, output, failure) -- postgresql
WHERE t.id = ANY (:task_id::uuid[]) AND t.id = e.task_id                       -- postgresql
SET updated_at = :at, finished_at = :at, -- sqlite
    status = :status, output = :output, failure = :failure -- sqlite
WHERE t.id = :task_id                                                          -- sqlite
