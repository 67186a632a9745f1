-- Purpose     Keep the starts of a claim under limits that have a rate.
-- Parameters  worker_id, claim_id
-- Returns     nothing
-- Invariant   Behind the claim, in its transaction and under the lock of take_turn.sql.
-- Index       ix_queue_worker, then the primary key of limits
INSERT INTO agentplat.starts (tenant_id, key, at, claim_id, number)
SELECT l.tenant_id, l.key, clock_timestamp(), :claim_id, count(*)
FROM agentplat.queue AS q JOIN agentplat.limits AS l ON l.tenant_id = q.tenant_id AND l.key IN ('', q.concurrency_key)
WHERE q.worker_id = :worker_id AND q.claim_id = :claim_id AND l.starts IS NOT NULL
GROUP BY l.tenant_id, l.key
