-- Asks        Is there one audit row for each submission, and one for each end?
-- Parameters  none
-- How         Books that have to balance: what a task's row says that there should be is taken from what the audit has,
--             in one sum for each task. Only where something is left over are the rows of the audit looked at.
WITH unbalanced AS MATERIALIZED (
    SELECT id FROM (
        SELECT id,
               CASE status WHEN 'open' THEN -1 WHEN 'done' THEN -257 WHEN 'error' THEN -65537 ELSE -16777217 END AS amount
        FROM agentplat.tasks
        UNION ALL
        SELECT task_id, CASE action WHEN 'task_submitted' THEN 1 WHEN 'task_done' THEN 256 WHEN 'task_error' THEN 65536
                                    WHEN 'task_cancelled' THEN 16777216 ELSE 0 END
        FROM agentplat.audit
    ) AS books
    GROUP BY id HAVING sum(amount) <> 0
), kept AS (
    -- Retention removes the oldest rows; of what was before the oldest one that is left nothing can be missed.
    SELECT at AS since FROM agentplat.audit WHERE id = (SELECT min(id) FROM agentplat.audit)
), counted AS (
    SELECT t.id, t.status,
           coalesce(t.created_at < (SELECT since FROM kept), false) AS submission_forgotten,
           coalesce(t.finished_at < (SELECT since FROM kept), false) AS end_forgotten,
           count(*) FILTER (WHERE a.action = 'task_submitted') AS submissions,
           count(*) FILTER (WHERE a.action IN ('task_done', 'task_error', 'task_cancelled')) AS ends,
           max(CASE WHEN a.action IN ('task_done', 'task_error', 'task_cancelled') THEN a.action END) AS ending
    FROM unbalanced AS u
    JOIN agentplat.tasks AS t ON t.id = u.id
    LEFT JOIN agentplat.audit AS a ON a.task_id = u.id
    GROUP BY t.id, t.status, t.created_at, t.finished_at
)
-- Every submission is audited once, in the transaction that accepts it.
SELECT 'submission_not_audited_once' AS code, id FROM counted
WHERE submissions > 1 OR (submissions = 0 AND NOT submission_forgotten)
UNION ALL
-- Every end is audited once, in the transaction that ends the task.
SELECT 'end_not_audited_once' AS code, id FROM counted
WHERE ends > CASE WHEN status = 'open' THEN 0 ELSE 1 END OR (ends = 0 AND status <> 'open' AND NOT end_forgotten)
UNION ALL
-- The audit says which end it was.
SELECT 'end_audited_differently' AS code, id FROM counted WHERE status <> 'open' AND ends = 1 AND ending <> 'task_' || status
