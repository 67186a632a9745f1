-- Purpose     Choose tasks of one queue that nobody has: tenant by tenant, each as many as its weight, then by priority and
--             age, and under every limit.
-- Parameters  worker_id, queue, limit, tenants (at most so many are looked at)
-- Returns     task_id, tenant_id, remaining (of its tenant's turn, when it is the last one taken); in the order of the turns
-- Invariant   Only on SQLite, where nobody comes between this and what follows; claim_fairly.sql says what it means. Tenants
--             of whom nothing may be taken count as looked at: where nothing was found, all have to be.
-- Index       ix_queue_claim, one descent for each tenant, and its first `limit` tasks without a key; all that have one;
--             the primary key of limits, for the keys that were seen
WITH RECURSIVE turn AS MATERIALIZED (
    SELECT t.tenant_id, t.remaining FROM turns AS t WHERE t.queue = :queue
      AND EXISTS (SELECT 1 FROM workers WHERE id = :worker_id AND lease_until > clock_timestamp())
), later AS (
    SELECT t.tenant_id FROM turn AS t
    UNION ALL
    SELECT (SELECT min(q.tenant_id) FROM queue AS q
            WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.tenant_id > a.tenant_id)
    FROM later AS a WHERE a.tenant_id IS NOT NULL LIMIT :tenants + 1
), earlier AS (
    SELECT '' AS tenant_id FROM later AS a WHERE a.tenant_id IS NULL
    UNION ALL
    SELECT (SELECT min(q.tenant_id) FROM queue AS q
            WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.tenant_id > a.tenant_id)
    FROM earlier AS a CROSS JOIN turn AS t WHERE a.tenant_id < t.tenant_id LIMIT :tenants + 1
), visited AS MATERIALIZED (
    SELECT a.tenant_id FROM later AS a WHERE a.tenant_id IS NOT NULL
    UNION SELECT a.tenant_id FROM earlier AS a JOIN turn AS t ON a.tenant_id <= t.tenant_id
), able AS MATERIALIZED (
    SELECT q.task_id, q.tenant_id, q.concurrency_key, q.priority, q.run_at
    FROM visited AS v CROSS JOIN queue AS q ON q.task_id IN (
        SELECT u.task_id FROM queue AS u
        WHERE u.queue = :queue AND u.tenant_id = v.tenant_id AND u.concurrency_key = '' AND u.ready AND NOT u.suspect
          AND u.run_at <= clock_timestamp()
        ORDER BY u.priority DESC, u.run_at, u.task_id LIMIT 2 * :limit
    )
    UNION ALL
    SELECT q.task_id, q.tenant_id, q.concurrency_key, q.priority, q.run_at
    FROM visited AS v CROSS JOIN queue AS q ON q.queue = :queue AND q.tenant_id = v.tenant_id
    WHERE q.concurrency_key > '' AND q.ready AND NOT q.suspect AND q.run_at <= clock_timestamp()
), keys AS MATERIALIZED (
    SELECT a.tenant_id, a.concurrency_key AS key FROM able AS a
    UNION SELECT v.tenant_id, '' FROM visited AS v
), bounds AS MATERIALIZED (
    SELECT l.tenant_id, l.key, max(min(
        coalesce(l.at_once - (
            SELECT count(*) FROM queue AS r
            WHERE r.worker_id IS NOT NULL AND r.fence > 0 AND r.tenant_id = l.tenant_id AND (l.key = '' OR r.concurrency_key = l.key)
        ), 2147483647),
        coalesce(l.starts - (
            SELECT coalesce(sum(b.number), 0) FROM starts AS b
            WHERE b.tenant_id = l.tenant_id AND b.key = l.key
              AND b.at > clock_timestamp() - CAST(l.seconds * 1000000 AS INTEGER)
        ), 2147483647)
    ), 0) AS free
    FROM keys AS k CROSS JOIN limits AS l ON l.tenant_id = k.tenant_id AND l.key = k.key
    WHERE l.at_once IS NOT NULL OR l.starts IS NOT NULL
), laned AS (
    SELECT a.*, row_number() OVER (
        PARTITION BY a.tenant_id, a.concurrency_key ORDER BY a.priority DESC, a.run_at, a.task_id
    ) AS place
    FROM able AS a
), ranked AS (
    SELECT a.task_id, a.tenant_id, row_number() OVER (
        PARTITION BY a.tenant_id ORDER BY a.priority DESC, a.run_at, a.task_id
    ) AS place
    FROM laned AS a LEFT JOIN bounds AS b ON b.tenant_id = a.tenant_id AND b.key = a.concurrency_key AND b.key <> ''
    WHERE a.place <= coalesce(b.free, a.place)
), shared AS (
    SELECT r.task_id, r.tenant_id, coalesce(l.weight, 1) AS weight, t.tenant_id AS current,
           r.place - CASE WHEN r.tenant_id = t.tenant_id THEN t.remaining ELSE 0 END AS place
    FROM ranked AS r CROSS JOIN turn AS t
    LEFT JOIN limits AS l ON l.tenant_id = r.tenant_id AND l.key = ''
    LEFT JOIN bounds AS b ON b.tenant_id = r.tenant_id AND b.key = ''
    WHERE r.place <= coalesce(b.free, r.place)
)
SELECT task_id, tenant_id,
       CASE WHEN place <= 0 THEN -place ELSE weight - 1 - (place - 1) % weight END AS remaining
FROM shared
ORDER BY CASE WHEN place <= 0 THEN 0 ELSE 1 + (place - 1) / weight END, tenant_id <= current, tenant_id, place
LIMIT :limit
