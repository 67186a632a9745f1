-- Purpose     Give a worker tasks of one queue as claim.sql does, but look only from where its process's claims stand: while a
--             transaction pins xmin, what was claimed before them stays in the index, and a look from the start walks over it.
-- Parameters  worker_id, claim_id (random, new for each claim), queue, limit, tenant_id (of all that waits, as the last look from
--             the start saw it), looked_at (when that was); for each stretch, in the order of the claim: least, most
--             (priorities), since (NULL: all of the stretch)
-- Returns     chooses, as claim.sql; took (seconds)
-- Invariant   Only on PostgreSQL. What came to lie behind it is found by the next look of claim.sql, which is never far: see
--             `claims.Front`. The stretches leave out no priority, so that what is new is found whichever it has. Otherwise as
--             for claim.sql. The rows are locked one by one as they are taken: nothing sorts or keeps them between.
-- Index       ix_queue_claim: one descent for each question of what else waits, and for each stretch. The array keeps the
--             update on the primary key, whatever the statistics say.
WITH others AS MATERIALIZED (
    SELECT (
        SELECT q.tenant_id FROM agentplat.queue AS q
        WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.tenant_id < :tenant_id AND q.run_at >= :looked_at
        ORDER BY q.queue, q.tenant_id, q.concurrency_key LIMIT 1
    ) IS NOT NULL OR (
        SELECT q.tenant_id FROM agentplat.queue AS q
        WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.tenant_id > :tenant_id AND q.run_at >= :looked_at
        ORDER BY q.queue, q.tenant_id, q.concurrency_key LIMIT 1
    ) IS NOT NULL OR (
        SELECT q.tenant_id FROM agentplat.queue AS q
        WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.tenant_id = :tenant_id AND q.concurrency_key > ''
          AND q.run_at >= :looked_at
        ORDER BY q.queue, q.tenant_id, q.concurrency_key LIMIT 1
    ) IS NOT NULL OR EXISTS (
        SELECT 1 FROM agentplat.limits AS l
        WHERE l.tenant_id = :tenant_id AND l.key = '' AND (l.at_once IS NOT NULL OR l.starts IS NOT NULL)
    ) AS wait
), own AS MATERIALIZED (
    SELECT id FROM agentplat.workers
    WHERE id = :worker_id AND lease_until > clock_timestamp()
    FOR KEY SHARE
), picked AS MATERIALIZED (
    SELECT n.task_id
    FROM unnest(:least::integer[], :most::integer[], :since::timestamptz[]) AS s (least, most, since)
    CROSS JOIN LATERAL (
        SELECT e.task_id FROM (
            SELECT q.task_id FROM agentplat.queue AS q
            WHERE q.queue = :queue AND q.tenant_id = :tenant_id AND q.concurrency_key = '' AND q.ready AND NOT q.suspect
              AND q.priority = s.least AND q.run_at >= s.since AND q.run_at <= (SELECT clock_timestamp())
            ORDER BY q.priority DESC, q.run_at, q.task_id
            FOR UPDATE OF q SKIP LOCKED
        ) AS e
        UNION ALL
        SELECT a.task_id FROM (
            SELECT q.task_id FROM agentplat.queue AS q
            WHERE q.queue = :queue AND q.tenant_id = :tenant_id AND q.concurrency_key = '' AND q.ready AND NOT q.suspect
              AND s.since IS NULL AND q.priority BETWEEN s.least AND s.most AND q.run_at <= (SELECT clock_timestamp())
            ORDER BY q.priority DESC, q.run_at, q.task_id
            FOR UPDATE OF q SKIP LOCKED
        ) AS a
    ) AS n
    WHERE EXISTS (SELECT 1 FROM own) AND NOT (SELECT o.wait FROM others AS o)
    LIMIT :limit
), claimed AS (
    UPDATE agentplat.queue
    SET ready = false, worker_id = :worker_id, claim_id = :claim_id, fence = fence + 1, under_way = false, reason = NULL
    WHERE task_id = ANY (ARRAY (SELECT task_id FROM picked))
    RETURNING 1
)
SELECT (SELECT o.wait FROM others AS o) AS chooses,
       extract(epoch FROM CASE WHEN (SELECT count(*) FROM claimed) >= 0 THEN clock_timestamp() - statement_timestamp() END)::float AS took
