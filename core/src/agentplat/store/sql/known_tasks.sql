-- Purpose     Find out which tasks have been inserted.
-- Parameters  task_ids
-- Returns     id
-- Invariant   none: the ids are those of one submission, whose acknowledgement was lost
-- Index       primary key
SELECT id FROM agentplat.tasks
WHERE id = ANY (:task_ids::uuid[])                                                     -- postgresql
WHERE id IN (SELECT value FROM json_each(:task_ids))                           -- sqlite
