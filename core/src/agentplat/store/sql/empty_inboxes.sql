-- Purpose     Remove what nobody will read: the tasks have ended.
-- Parameters  task_ids
-- Returns     nothing
-- Invariant   Runs under the locks of the queue rows, in the transaction that deletes those.
-- Index       primary key
DELETE FROM agentplat.inbox
WHERE task_id = ANY (:task_ids::uuid[])                                                -- postgresql
WHERE task_id IN (SELECT value FROM json_each(:task_ids))                      -- sqlite
