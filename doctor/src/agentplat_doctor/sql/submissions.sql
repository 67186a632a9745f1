-- Asks        Does each idempotency key stand for a task?
-- Parameters  none
-- The same key gives the first task again, so that task has to be there.
SELECT 'submission_without_task' AS code, s.task_id AS id FROM agentplat.submissions AS s
LEFT JOIN agentplat.tasks AS t ON t.id = s.task_id
WHERE t.id IS NULL
