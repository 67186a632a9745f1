-- Purpose     Give a worker tasks of one queue that nobody has, where there is nothing to choose: all that wait are of one
--             tenant, without a key and without a limit.
-- Parameters  worker_id, claim_id (random, new for each claim), queue, limit
-- Returns     chooses: whether there is something to choose, so that nothing was claimed; took (seconds), at; all on PostgreSQL
-- Invariant   The worker's own row is unexpired and cannot be removed before this commits (FOR KEY SHARE; a sweeper takes
--             FOR UPDATE), so a task never gets an owner whose row is gone. SKIP LOCKED: two claimers never wait for
--             each other and never get the same row. MATERIALIZED: the inner query runs once, so that no more than
--             `limit` rows are locked. The fence grows. `wake` is kept, so that the owner reads the inbox.
--             A limit that is set while a claim is under way binds the next claim.
-- Index       ix_queue_claim: its last entry of the queue, whether there is one of an earlier tenant, then in the order of the
--             claim, only what is ready. Not the first entry: what was claimed since the last vacuum lies there, and would
--             be walked through twice. The array keeps the update on the primary key, whatever the statistics say.
WITH ends AS MATERIALIZED (                                                    -- postgresql
    SELECT l.tenant_id, (l.concurrency_key <> '' OR (                          -- postgresql
        SELECT q.tenant_id FROM agentplat.queue AS q                           -- postgresql
        WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.tenant_id < l.tenant_id -- postgresql
        ORDER BY q.queue, q.tenant_id, q.concurrency_key LIMIT 1               -- postgresql
    ) IS NOT NULL) AS differ                                                   -- postgresql
    FROM (                                                                     -- postgresql
        SELECT q.tenant_id, q.concurrency_key FROM agentplat.queue AS q        -- postgresql
        WHERE q.queue = :queue AND q.ready AND NOT q.suspect                   -- postgresql
        ORDER BY q.queue DESC, q.tenant_id DESC, q.concurrency_key DESC LIMIT 1 -- postgresql
    ) AS l                                                                     -- postgresql
), sole AS MATERIALIZED (                                                      -- postgresql
    SELECT e.tenant_id, e.differ OR EXISTS (                                   -- postgresql
        SELECT 1 FROM agentplat.limits AS l                                    -- postgresql
        WHERE l.tenant_id = e.tenant_id AND l.key = '' AND (l.at_once IS NOT NULL OR l.starts IS NOT NULL) -- postgresql
    ) AS chooses FROM ends AS e                                                -- postgresql
), own AS MATERIALIZED (                                                       -- postgresql
WITH sole AS MATERIALIZED (                                                    -- sqlite
    SELECT q.tenant_id FROM agentplat.queue AS q WHERE q.queue = :queue AND q.ready AND NOT q.suspect -- sqlite
    ORDER BY q.tenant_id LIMIT 1                                               -- sqlite
), own AS MATERIALIZED (                                                       -- sqlite
    SELECT id FROM agentplat.workers
    WHERE id = :worker_id AND lease_until > clock_timestamp()
    FOR KEY SHARE                                                              -- postgresql
), picked AS MATERIALIZED (
    SELECT q.task_id FROM agentplat.queue AS q
    WHERE q.queue = :queue AND q.concurrency_key = '' AND q.ready AND NOT q.suspect
      AND q.tenant_id = (SELECT s.tenant_id FROM sole AS s WHERE NOT s.chooses) -- postgresql
      AND q.tenant_id = (SELECT s.tenant_id FROM sole AS s)                    -- sqlite
      AND q.run_at <= (SELECT clock_timestamp())
      AND EXISTS (SELECT 1 FROM own)
    ORDER BY q.priority DESC, q.run_at, q.task_id
    LIMIT :limit
    FOR UPDATE OF q SKIP LOCKED                                                -- postgresql
), claimed AS (                                                                -- postgresql
)                                                                              -- sqlite
UPDATE agentplat.queue
SET ready = false, worker_id = :worker_id, claim_id = :claim_id, fence = fence + 1, under_way = false, reason = NULL
WHERE task_id = ANY (ARRAY (SELECT task_id FROM picked))                       -- postgresql
RETURNING 1                                                                    -- postgresql
)                                                                              -- postgresql
SELECT coalesce((SELECT s.chooses FROM sole AS s), false) AS chooses,          -- postgresql
       extract(epoch FROM CASE WHEN (SELECT count(*) FROM claimed) >= 0        -- postgresql
                               THEN clock_timestamp() - statement_timestamp() END)::float AS took, -- postgresql
       statement_timestamp() AS at                                             -- postgresql
WHERE task_id IN (SELECT task_id FROM picked)                                  -- sqlite
