-- Purpose     Take tasks that have ended out of the queue.
-- Parameters  task_ids
-- Returns     nothing
-- Invariant   Runs under the locks of the rows. A row lives as long as its task, so that the fence never restarts; it is
--             deleted in the same transaction that writes the end.
-- Index       primary key
DELETE FROM agentplat.queue
WHERE task_id = ANY (:task_ids::uuid[])                                                -- postgresql
WHERE task_id IN (SELECT value FROM json_each(:task_ids))                      -- sqlite
