-- Purpose     Give a worker tasks of one queue whose last worker died with a step of theirs under way, to be run alone.
-- Parameters  worker_id, claim_id (random, new for each claim), queue, limit
-- Returns     task_id, priority, run_at
-- Invariant   As for claim.sql, which never takes a suspect: so a suspect that has an owner is being run alone, and
--             a death then is its own doing.
-- Index       ix_queue_suspect, then the primary key.
WITH own AS MATERIALIZED (
    SELECT id FROM agentplat.workers
    WHERE id = :worker_id AND lease_until > clock_timestamp()
    FOR KEY SHARE                                                              -- postgresql
), picked AS MATERIALIZED (
    SELECT q.task_id FROM agentplat.queue AS q
    WHERE q.queue = :queue AND q.ready AND q.suspect
      AND q.run_at <= (SELECT clock_timestamp())
      AND EXISTS (SELECT 1 FROM own)
    ORDER BY q.priority DESC, q.run_at, q.task_id
    LIMIT :limit
    FOR UPDATE OF q SKIP LOCKED                                                -- postgresql
)
UPDATE agentplat.queue
SET ready = false, worker_id = :worker_id, claim_id = :claim_id, fence = fence + 1, under_way = false, reason = NULL
WHERE task_id = ANY (ARRAY (SELECT task_id FROM picked))                       -- postgresql
WHERE task_id IN (SELECT task_id FROM picked)                                  -- sqlite
RETURNING task_id, priority, run_at
