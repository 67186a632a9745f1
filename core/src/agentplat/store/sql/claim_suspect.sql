-- Purpose     Give a worker tasks of one queue whose last worker died with a step of theirs under way, to be run alone.
-- Parameters  worker_id, claim_id (random, new for each claim), queue, limit
-- Returns     chooses: whether nothing was claimed, and there is one under a limit that was not counted, since no lock is held
--             (on PostgreSQL)
-- Invariant   As for claim.sql, which never takes a suspect: so a suspect that has an owner is being run alone, and
--             a death then is its own doing. Behind take_turn.sql also those under limits, as claim_fairly.sql counts.
-- Index       ix_queue_suspect, then the primary key.
WITH own AS MATERIALIZED (
    SELECT id FROM agentplat.workers
    WHERE id = :worker_id AND lease_until > clock_timestamp()
    FOR KEY SHARE                                                              -- postgresql
), held AS MATERIALIZED (
    SELECT t.queue FROM agentplat.turns AS t WHERE t.queue = '' AND t.claim_id = :claim_id
), picked AS MATERIALIZED (
    SELECT q.task_id FROM agentplat.queue AS q
    WHERE q.queue = :queue AND q.ready AND q.suspect
      AND q.run_at <= (SELECT clock_timestamp())
      AND EXISTS (SELECT 1 FROM own)
      AND NOT EXISTS (
          SELECT 1 FROM agentplat.limits AS l
          WHERE l.tenant_id = q.tenant_id AND l.key IN ('', q.concurrency_key) AND (l.at_once IS NOT NULL OR l.starts IS NOT NULL)
            AND (
                NOT EXISTS (SELECT 1 FROM held)
                OR l.at_once <= (
                    SELECT count(*) FROM agentplat.queue AS r
                    WHERE r.worker_id IS NOT NULL AND r.fence > 0 AND r.tenant_id = l.tenant_id AND (l.key = '' OR r.concurrency_key = l.key)
                )
                OR l.starts <= (
                    SELECT coalesce(sum(b.number), 0) FROM agentplat.starts AS b
                    WHERE b.tenant_id = l.tenant_id AND b.key = l.key
                      AND b.at > (SELECT clock_timestamp()) - make_interval(secs => l.seconds) -- postgresql
                      AND b.at > (SELECT clock_timestamp()) - CAST(l.seconds * 1000000 AS INTEGER) -- sqlite
                )
            )
      )
    ORDER BY q.priority DESC, q.run_at, q.task_id
    LIMIT :limit
    FOR UPDATE OF q SKIP LOCKED                                                -- postgresql
), claimed AS (                                                                -- postgresql
)                                                                              -- sqlite
UPDATE agentplat.queue
SET ready = false, worker_id = :worker_id, claim_id = :claim_id, fence = fence + 1, under_way = false, reason = NULL
WHERE task_id = ANY (ARRAY (SELECT task_id FROM picked))                       -- postgresql
)                                                                              -- postgresql
SELECT NOT EXISTS (SELECT 1 FROM held) AND NOT EXISTS (SELECT 1 FROM picked) AND EXISTS ( -- postgresql
    SELECT 1 FROM agentplat.queue AS q                                         -- postgresql
    JOIN agentplat.limits AS l ON l.tenant_id = q.tenant_id AND l.key IN ('', q.concurrency_key) -- postgresql
    WHERE q.queue = :queue AND q.ready AND q.suspect AND (l.at_once IS NOT NULL OR l.starts IS NOT NULL) -- postgresql
) AS chooses                                                                   -- postgresql
WHERE task_id IN (SELECT task_id FROM picked)                                  -- sqlite
