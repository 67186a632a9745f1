-- Purpose     Give a worker tasks of one queue that nobody has.
-- Parameters  worker_id, claim_id (random, new for each claim), queue, limit
-- Returns     task_id, priority, run_at
-- Invariant   The worker's own row is unexpired and cannot be removed before this commits (FOR KEY SHARE; a sweeper takes
--             FOR UPDATE), so a task never gets an owner whose row is gone. SKIP LOCKED: two claimers never wait for
--             each other and never get the same row. MATERIALIZED: the inner query runs once, so that no more than
--             `limit` rows are locked. The fence grows. `wake` is kept, so that the owner reads the inbox.
-- Index       ix_queue_claim: in the order of the claim, only what is ready. The array keeps the update on the primary
--             key, whatever the statistics say.
WITH own AS MATERIALIZED (
    SELECT id FROM agentplat.workers
    WHERE id = :worker_id AND lease_until > clock_timestamp()
    FOR KEY SHARE                                                              -- postgresql
), picked AS MATERIALIZED (
    SELECT q.task_id FROM agentplat.queue AS q
    WHERE q.queue = :queue AND q.ready AND NOT q.suspect
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
