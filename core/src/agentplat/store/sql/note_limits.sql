-- Purpose     Write down how limits stand after a claim: how many run, since when it is full, when there is room for a start.
-- Parameters  worker_id, claim_id
-- Returns     nothing
-- Invariant   Behind the claim, in its transaction and under the lock of take_turn.sql. Only limits under which it took
--             something: a full one stays full until a task ends, and then a claim takes the next. No claim relies on it.
--             So whatever ran when the limit was set, now there was room: no more is written down than it allows, and whoever
--             finds more has found a claim that did not look (doctor's `limit_exceeded`).
-- Index       ix_queue_worker, ix_queue_live, primary keys of limits and starts
UPDATE agentplat.limits AS l
SET (running, full_since, opens_at) = (
    SELECT CASE WHEN u.running > l.at_once THEN l.at_once ELSE u.running END,
           CASE WHEN u.running >= l.at_once OR u.started >= l.starts THEN coalesce(l.full_since, clock_timestamp()) END,
           CASE WHEN u.started >= l.starts THEN u.oldest + make_interval(secs => l.seconds) END -- postgresql
           CASE WHEN u.started >= l.starts THEN u.oldest + CAST(l.seconds * 1000000 AS INTEGER) END -- sqlite
    FROM (
        SELECT
            (SELECT count(*) FROM agentplat.queue AS r
             WHERE r.worker_id IS NOT NULL AND r.fence > 0 AND r.tenant_id = l.tenant_id AND (l.key = '' OR r.concurrency_key = l.key)) AS running,
            (SELECT sum(b.number) FROM agentplat.starts AS b
             WHERE b.tenant_id = l.tenant_id AND b.key = l.key
               AND b.at > (SELECT clock_timestamp()) - make_interval(secs => l.seconds) -- postgresql
               AND b.at > (SELECT clock_timestamp()) - CAST(l.seconds * 1000000 AS INTEGER) -- sqlite
            ) AS started,
            (SELECT min(b.at) FROM agentplat.starts AS b
             WHERE b.tenant_id = l.tenant_id AND b.key = l.key
               AND b.at > (SELECT clock_timestamp()) - make_interval(secs => l.seconds) -- postgresql
               AND b.at > (SELECT clock_timestamp()) - CAST(l.seconds * 1000000 AS INTEGER) -- sqlite
            ) AS oldest
    ) AS u
)
WHERE (l.tenant_id, l.key) IN (
    SELECT q.tenant_id, '' FROM agentplat.queue AS q WHERE q.worker_id = :worker_id AND q.claim_id = :claim_id
    UNION SELECT q.tenant_id, q.concurrency_key FROM agentplat.queue AS q WHERE q.worker_id = :worker_id AND q.claim_id = :claim_id
)
