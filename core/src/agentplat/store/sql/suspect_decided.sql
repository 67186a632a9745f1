-- Purpose     Count the task on which a worker decided when it died among those that had a step under way.
-- Parameters  worker_id, task_id
-- Returns     nothing
-- Invariant   Runs before return_owned.sql, under the same locks. What decides is foreign code, too: a strategy that takes
--             its worker with it would be given to one worker after the other for ever.
-- Index       primary key
UPDATE agentplat.queue SET under_way = true WHERE task_id = :task_id AND worker_id = :worker_id
