-- Purpose     Take owners from queue rows: their tasks wait, or are for anybody.
-- Parameters  for each row: task_id, fence, suspect, crashes, ready, run_at, reason
-- Returns     nothing
-- Invariant   Runs under the locks of the rows, in the transaction that saw whether there is a wake-up: `ready` and `run_at`
--             take it into account. Runs behind take_from_inbox.sql: the next owner has to read what this one has read and not
--             accounted for. `wake` is only set where the row is ready: what waits would never be looked at.
-- Index       primary key: the array keeps the update on it, whatever the statistics say
UPDATE agentplat.queue AS q
SET worker_id = NULL, claim_id = NULL, under_way = false,
    wake = q.wake OR (g.ready AND (SELECT i.id FROM agentplat.inbox AS i WHERE i.task_id = q.task_id ORDER BY i.task_id LIMIT 1) IS NOT NULL), -- postgresql
    wake = q.wake OR (:ready AND (SELECT i.id FROM agentplat.inbox AS i WHERE i.task_id = q.task_id ORDER BY i.task_id LIMIT 1) IS NOT NULL), -- sqlite
    fence = g.fence, suspect = g.suspect, crashes = g.crashes, ready = g.ready, run_at = g.run_at, reason = g.reason -- postgresql
FROM unnest(:task_id::uuid[], :fence::bigint[], :suspect::boolean[], :crashes::integer[], :ready::boolean[], -- postgresql
            :run_at::timestamptz[], :reason::text[])                           -- postgresql
    AS g (task_id, fence, suspect, crashes, ready, run_at, reason)             -- postgresql
WHERE q.task_id = ANY (:task_id::uuid[]) AND q.task_id = g.task_id             -- postgresql
    fence = :fence, suspect = :suspect, crashes = :crashes, ready = :ready, run_at = :run_at, reason = :reason -- sqlite
WHERE q.task_id = :task_id                                                     -- sqlite
