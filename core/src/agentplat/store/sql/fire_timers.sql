-- Purpose     Make parked tasks claimable whose timer is due.
-- Parameters  limit
-- Returns     task_id
-- Invariant   SKIP LOCKED: a row that somebody is writing about is looked at in the next sweep. The condition is looked
--             at again when the row is locked, so that a task that was just claimed or parked anew is left alone.
-- Index       ix_queue_timer, then the primary key
WITH due AS MATERIALIZED (
    SELECT task_id FROM agentplat.queue
    WHERE NOT ready AND worker_id IS NULL AND run_at IS NOT NULL
      AND run_at <= (SELECT clock_timestamp())
      AND crashes < 3
    ORDER BY run_at
    LIMIT :limit
    FOR UPDATE SKIP LOCKED                                                     -- postgresql
)
UPDATE agentplat.queue
SET ready = true
WHERE task_id = ANY (ARRAY (SELECT task_id FROM due))                          -- postgresql
WHERE task_id IN (SELECT task_id FROM due)                                     -- sqlite
RETURNING task_id
