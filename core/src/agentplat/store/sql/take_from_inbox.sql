-- Purpose     Remove from inboxes what journals account for.
-- Parameters  for each item: task_id, id
-- Returns     nothing
-- Invariant   Runs under the locks of the queue rows, in the transaction that writes the events.
-- Index       primary key
DELETE FROM agentplat.inbox
WHERE (task_id, id) IN (SELECT * FROM unnest(:task_id::uuid[], :id::uuid[])) AND task_id = ANY (:task_id::uuid[]) -- postgresql
WHERE task_id = :task_id AND id = :id                                          -- sqlite
