-- Purpose     Make tasks claimable whose children have ended, or let their owners know.
-- Parameters  task_ids (of children)
-- Returns     task_id (of their parents)
-- Invariant   A transaction of its own, behind the one in which the children ended, so that it locks no other rows; ordered by
--             task id, as everywhere. As in wake_task.sql whichever of waking and parking commits second sees the other. If it
--             never comes, repair_wakes.sql finds what the inbox has.
-- Index       primary keys of tasks, queue and inbox
WITH told AS MATERIALIZED (
    SELECT q.task_id FROM agentplat.queue AS q
    WHERE q.task_id = ANY (ARRAY (SELECT t.parent_id FROM agentplat.tasks AS t WHERE t.id = ANY (:task_ids::uuid[]))) -- postgresql
    WHERE q.task_id IN (SELECT t.parent_id FROM agentplat.tasks AS t WHERE t.id IN (SELECT value FROM json_each(:task_ids))) -- sqlite
      AND (SELECT i.task_id FROM agentplat.inbox AS i WHERE i.task_id = q.task_id ORDER BY i.task_id LIMIT 1) IS NOT NULL
    ORDER BY q.task_id
    FOR UPDATE                                                                 -- postgresql
)
UPDATE agentplat.queue
SET wake = true,
    run_at = CASE WHEN worker_id IS NULL AND NOT ready THEN clock_timestamp() ELSE run_at END,
    ready = ready OR (worker_id IS NULL AND crashes < 3)
WHERE task_id = ANY (ARRAY (SELECT task_id FROM told))                         -- postgresql
WHERE task_id IN (SELECT task_id FROM told)                                    -- sqlite
RETURNING task_id
