-- Purpose     Hold a worker's row until the end of the transaction.
-- Parameters  worker_id
-- Returns     id
-- Invariant   Who holds it knows that this worker claims nothing meanwhile: a claim takes the row FOR KEY SHARE.
-- Index       primary key
SELECT id FROM agentplat.workers
WHERE id = :worker_id
FOR UPDATE                                                                     -- postgresql
