-- Purpose     Give a worker tasks that were chosen for it.
-- Parameters  worker_id, claim_id, task_ids
-- Returns     nothing
-- Invariant   In the transaction that chose them, on SQLite: nobody has taken one meanwhile.
-- Index       primary key
UPDATE agentplat.queue
SET ready = false, worker_id = :worker_id, claim_id = :claim_id, fence = fence + 1, under_way = false, reason = NULL
WHERE task_id IN (SELECT value FROM json_each(:task_ids))
