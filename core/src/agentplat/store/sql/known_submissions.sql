-- Purpose     Read what idempotency keys stand for.
-- Parameters  tenants, keys: two lists of one length
-- Returns     tenant_id, key, fingerprint, task_id
-- Invariant   Is sent behind insert_submissions.sql, whose waiting is over then: each key is there.
-- Index       primary key
SELECT s.tenant_id, s.key, s.fingerprint, s.task_id FROM agentplat.submissions AS s
WHERE (s.tenant_id, s.key) IN (SELECT * FROM unnest(:tenants::text[], :keys::text[])) -- postgresql
  AND s.tenant_id = ANY (:tenants::text[]) AND s.key = ANY (:keys::text[])     -- postgresql
WHERE (s.tenant_id, s.key) IN (SELECT t.value, k.value FROM json_each(:tenants) AS t JOIN json_each(:keys) AS k ON k.key = t.key) -- sqlite
