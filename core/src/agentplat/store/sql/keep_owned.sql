-- Purpose     Write down what has changed in queue rows that keep their owner.
-- Parameters  for each row: task_id, fence, under_way, suspect, crashes
-- Returns     nothing
-- Invariant   Runs under the locks of the rows.
-- Index       primary key: the array keeps the update on it, whatever the statistics say
UPDATE agentplat.queue AS q
SET fence = k.fence, under_way = k.under_way, suspect = k.suspect, crashes = k.crashes -- postgresql
FROM unnest(:task_id::uuid[], :fence::bigint[], :under_way::boolean[], :suspect::boolean[], :crashes::integer[]) -- postgresql
    AS k (task_id, fence, under_way, suspect, crashes)                         -- postgresql
WHERE q.task_id = ANY (:task_id::uuid[]) AND q.task_id = k.task_id             -- postgresql
SET fence = :fence, under_way = :under_way, suspect = :suspect, crashes = :crashes -- sqlite
WHERE q.task_id = :task_id                                                     -- sqlite
