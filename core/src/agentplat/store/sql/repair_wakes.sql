-- Purpose     Make parked tasks claimable that have something in the inbox: a crash, or a fault, swallowed the wake-up.
-- Parameters  limit
-- Returns     task_id
-- Invariant   Nothing stays in the inbox of a task that nobody will look at. What an owner has read and not yet
--             accounted for is not touched: the task has an owner. SKIP LOCKED as in fire_timers.sql.
-- Index       queue by its primary key, whatever the statistics say; all of the inbox, which holds only what is unread
WITH told AS MATERIALIZED (
    SELECT q.task_id FROM agentplat.queue AS q
    WHERE q.task_id = ANY (ARRAY (SELECT DISTINCT i.task_id FROM agentplat.inbox AS i)) -- postgresql
    WHERE q.task_id IN (SELECT i.task_id FROM agentplat.inbox AS i)            -- sqlite
      AND NOT q.ready AND q.worker_id IS NULL
      AND q.crashes < 3
    LIMIT :limit
    FOR UPDATE OF q SKIP LOCKED                                                -- postgresql
)
UPDATE agentplat.queue
SET ready = true, wake = true, run_at = clock_timestamp()
WHERE task_id = ANY (ARRAY (SELECT task_id FROM told))                         -- postgresql
WHERE task_id IN (SELECT task_id FROM told)                                    -- sqlite
RETURNING task_id
