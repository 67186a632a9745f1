-- Purpose     Hold the queue rows of all tasks that a worker owns.
-- Parameters  worker_id
-- Returns     task_id
-- Invariant   Runs under the lock of the worker's row, so that none is added. Ordered by task id, as everywhere. A commit
--             of this worker that came first is waited for and counts; one that comes later finds its lease lost.
-- Index       ix_queue_worker
SELECT task_id FROM agentplat.queue
WHERE worker_id = :worker_id
ORDER BY task_id
FOR UPDATE                                                                     -- postgresql
