-- Purpose     Hold the queue rows of some tasks until the end of the transaction, and say what they are now.
-- Parameters  task_ids
-- Returns     task_id, tenant_id, worker_id, fence, wake, under_way, suspect, crashes
-- Invariant   Ordered by task id, as everywhere: two transactions that want the same rows never deadlock. What is
--             returned is the row as it is after the wait, not as it was at the start of the statement. A missing row
--             is a task that is terminal or unknown. What other tables say must be read by a later statement: this
--             one's view of them is older than its locks.
-- Index       primary key
SELECT task_id, tenant_id, worker_id, fence, wake, under_way, suspect, crashes
FROM agentplat.queue
WHERE task_id = ANY (CAST(:task_ids AS uuid[]))                                                -- postgresql
WHERE task_id IN (SELECT value FROM json_each(:task_ids))                      -- sqlite
ORDER BY task_id
FOR UPDATE                                                                     -- postgresql
