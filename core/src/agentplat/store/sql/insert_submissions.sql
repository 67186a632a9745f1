-- Purpose     Take idempotency keys.
-- Parameters  for each key: tenant_id, key, fingerprint, task_id
-- Returns     nothing
-- Invariant   The unique index decides between concurrent duplicates: the later one waits for the first to commit, and
--             inserts nothing. In the order of the keys, so that two batches never wait for each other.
-- Index       primary key
INSERT INTO agentplat.submissions (tenant_id, key, fingerprint, task_id, created_at)
SELECT s.tenant_id, s.key, s.fingerprint, s.task_id, now()                     -- postgresql
FROM unnest(:tenant_id::text[], :key::text[], :fingerprint::text[], :task_id::uuid[]) WITH ORDINALITY -- postgresql
    AS s (tenant_id, key, fingerprint, task_id, number)                        -- postgresql
ORDER BY s.number                                                              -- postgresql
VALUES (:tenant_id, :key, :fingerprint, :task_id, clock_timestamp())           -- sqlite
ON CONFLICT DO NOTHING
