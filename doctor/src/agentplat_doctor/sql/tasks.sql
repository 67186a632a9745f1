-- Asks        Does each task's row fit its queue row, its definition and what was asked of it?
-- Parameters  minute_ago
-- How         One scan finds the rows that are wrong, or that something else has to be compared with. By itself SQLite would
--             read the table once for each promise.
WITH judged AS MATERIALIZED (
    SELECT * FROM (
        SELECT t.id, t.retry_of, t.cancel_requested_at,
               t.status = 'open' AND q.task_id IS NULL AS without_queue,
               (t.definition IS NOT NULL AND d.hash IS NULL)                                           -- postgresql
               (t.definition IS NOT NULL AND t.definition NOT IN (SELECT hash FROM agentplat.definitions)) -- sqlite
                   OR (t.definition IS NULL AND t.type LIKE 'workflow:%') AS without_definition,
               t.status NOT IN ('open', 'done', 'error', 'cancelled')
                   OR (t.status = 'open') <> (t.finished_at IS NULL)
                   OR (t.status <> 'done' AND t.output IS NOT NULL)
                   OR (t.status = 'error' AND t.failure IS NULL)
                   OR (t.status NOT IN ('error', 'cancelled') AND t.failure IS NOT NULL)
                   OR t.input_tokens < 0 OR t.output_tokens < 0 OR t.cost < 0 AS misshapen,
               t.status = 'open' AND t.cancel_requested_at IS NOT NULL AS to_be_cancelled,
               CASE WHEN t.status = 'error' THEN t.failure ->> 'code' = 'poisoned'
                   AND t.failure -> 'details' ->> 'crashes' IS NOT NULL ELSE false END AS poisoned
        FROM agentplat.tasks AS t
        LEFT JOIN agentplat.queue AS q ON q.task_id = t.id
        LEFT JOIN (SELECT DISTINCT hash FROM agentplat.definitions) AS d ON d.hash = t.definition      -- postgresql
    ) AS t
    WHERE without_queue OR without_definition OR misshapen OR retry_of IS NOT NULL OR to_be_cancelled OR poisoned
)
-- A task that is not over has a queue row: otherwise nobody would ever work on it.
SELECT 'open_without_queue' AS code, id FROM judged WHERE without_queue
UNION ALL
-- A task keeps the workflow that it was submitted with: in the database, by its hash.
SELECT 'definition_missing' AS code, id FROM judged WHERE without_definition
UNION ALL
-- What the constraints of the table say, for the case that somebody dropped them.
SELECT 'task_shape' AS code, id FROM judged WHERE misshapen
UNION ALL
-- A retry is a new task; its source was over before, and stays so.
SELECT 'retry_of_open_task' AS code, t.id FROM judged AS t
JOIN agentplat.tasks AS source ON source.id = t.retry_of
WHERE source.status = 'open'
UNION ALL
-- A request to cancel waits in the inbox or is in the journal; it is not forgotten.
SELECT 'cancel_lost' AS code, t.id FROM judged AS t
WHERE t.to_be_cancelled
  AND NOT EXISTS (SELECT 1 FROM agentplat.inbox AS i WHERE i.task_id = t.id AND i.kind = 'cancel')
  AND NOT EXISTS (SELECT 1 FROM agentplat.journal AS j WHERE j.task_id = t.id AND j.kind = 'cancel_requested')
UNION ALL
-- A running task ends within seconds of a cancel.
SELECT 'cancel_overdue' AS code, id FROM judged WHERE to_be_cancelled AND cancel_requested_at < :minute_ago
UNION ALL
-- Three crashes: a task is given up as poisoned only after three owners died with it, or fails by a child of which that is so.
SELECT 'poisoned_without_evidence' AS code, t.id FROM judged AS t
WHERE t.poisoned
  AND (SELECT count(*) FROM agentplat.journal AS j WHERE j.task_id = t.id AND j.kind = 'task_claimed') < :poison_limit
  -- An owner that died of its first decision wrote nothing. But each claim raised the fence, and so did the end.
  AND (SELECT max(j.fence) FROM agentplat.journal AS j WHERE j.task_id = t.id) <= :poison_limit
  AND EXISTS (SELECT 1 FROM agentplat.journal AS j WHERE j.task_id = t.id)
  AND NOT EXISTS (SELECT 1 FROM agentplat.tasks AS c WHERE c.parent_id = t.id AND c.failure ->> 'code' = 'poisoned')
