-- Purpose     Give back what a worker owns without knowing it: the answer to its claim was lost, or it dropped the task when a
--             write was refused.
-- Parameters  worker_id, known (the ids of the tasks that it knows)
-- Returns     task_id
-- Invariant   Sent by the worker itself, which claims nothing meanwhile. Nothing of these tasks is under way: nobody began
--             anything, or it has been ended. The fence stays, as in return_owned.sql: the next claim raises it. Ordered by task
--             id, as everywhere. The next owner is told of what is in the inbox, even if this one has read it.
-- Index       ix_queue_worker; the inbox by its primary key
WITH unknown AS MATERIALIZED (
    SELECT task_id FROM agentplat.queue
    WHERE worker_id = :worker_id
      AND task_id <> ALL (:known::uuid[])                                      -- postgresql
      AND task_id NOT IN (SELECT value FROM json_each(:known))                 -- sqlite
    ORDER BY task_id
    FOR UPDATE                                                                 -- postgresql
)
UPDATE agentplat.queue
SET worker_id = NULL, claim_id = NULL, under_way = false, ready = true, run_at = clock_timestamp(),
    wake = wake OR (SELECT i.id FROM agentplat.inbox AS i WHERE i.task_id = queue.task_id ORDER BY i.task_id LIMIT 1) IS NOT NULL
WHERE task_id = ANY (ARRAY (SELECT task_id FROM unknown))                      -- postgresql
WHERE task_id IN (SELECT task_id FROM unknown)                                 -- sqlite
RETURNING task_id
