-- Purpose     Remove starts that no limit counts any more.
-- Parameters  none
-- Returns     nothing
-- Invariant   Under the lock of take_turn.sql, so that nobody counts meanwhile.
-- Index       primary key: what is older than the time of its limit
DELETE FROM agentplat.starts AS b
USING agentplat.limits AS l                                                    -- postgresql
WHERE l.tenant_id = b.tenant_id AND l.key = b.key AND l.starts IS NOT NULL     -- postgresql
  AND b.at <= (SELECT clock_timestamp()) - make_interval(secs => l.seconds)    -- postgresql
WHERE (b.tenant_id, b.key, b.at, b.claim_id) IN (                              -- sqlite
    SELECT o.tenant_id, o.key, o.at, o.claim_id                                -- sqlite
    FROM limits AS l JOIN starts AS o ON o.tenant_id = l.tenant_id AND o.key = l.key -- sqlite
    WHERE l.starts IS NOT NULL AND o.at <= clock_timestamp() - CAST(l.seconds * 1000000 AS INTEGER) -- sqlite
)                                                                              -- sqlite
