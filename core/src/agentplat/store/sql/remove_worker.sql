-- Purpose     End a worker's lease for good.
-- Parameters  worker_id
-- Returns     nothing
-- Invariant   Runs under the lock of the row, after its tasks have been returned, in the same transaction: the row
--             lives as long as there is a task with this owner.
-- Index       primary key
DELETE FROM agentplat.workers WHERE id = :worker_id
