-- Purpose     Make parked tasks claimable that have something in the inbox, and let owners know to whom a child has told its end:
--             a crash, or a fault, swallowed the wake-up.
-- Parameters  limit
-- Returns     task_id
-- Invariant   Nothing stays in an inbox at which nobody will look. Only what children told (below zero) comes without its
--             wake-up, see wake_parents.sql; whoever was to send that has had five seconds. What an owner has read and not
--             accounted for by then it reads once more. SKIP LOCKED as in fire_timers.sql.
-- Index       queue by its primary key, whatever the statistics say; all of the inbox, which holds only what is unread
WITH told AS MATERIALIZED (
    SELECT q.task_id FROM agentplat.queue AS q
    WHERE q.task_id = ANY (ARRAY (SELECT DISTINCT i.task_id FROM agentplat.inbox AS i)) -- postgresql
    WHERE q.task_id IN (SELECT i.task_id FROM agentplat.inbox AS i)            -- sqlite
      AND NOT q.ready AND q.crashes < 3
      AND (q.worker_id IS NULL OR NOT q.wake AND (
          SELECT i.id FROM agentplat.inbox AS i
          WHERE i.task_id = q.task_id AND i.number < 0
            AND i.at < (SELECT clock_timestamp()) - interval '5 seconds'       -- postgresql
            AND i.at < (SELECT clock_timestamp()) - 5000000                    -- sqlite
          ORDER BY i.task_id LIMIT 1
      ) IS NOT NULL)
    LIMIT :limit
    FOR UPDATE OF q SKIP LOCKED                                                -- postgresql
)
UPDATE agentplat.queue
SET ready = worker_id IS NULL, wake = true, run_at = clock_timestamp()
WHERE task_id = ANY (ARRAY (SELECT task_id FROM told))                         -- postgresql
WHERE task_id IN (SELECT task_id FROM told)                                    -- sqlite
RETURNING task_id
