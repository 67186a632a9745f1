-- Asks        Will everything that somebody told a task be read, once?
-- Parameters  minute_ago
-- How         What children have told is looked at a minute later: their parents are woken, and what came too late is
--             removed, in transactions that follow the one in which they end.
-- What was told is for a task that is open.
SELECT 'inbox_without_open_task' AS code, i.task_id AS id FROM agentplat.inbox AS i
LEFT JOIN agentplat.queue AS q ON q.task_id = i.task_id
WHERE q.task_id IS NULL AND (i.number > 0 OR i.at < :minute_ago)
UNION ALL
-- No wake-up is lost: a task that was told something is claimable, or has an owner who will look.
SELECT 'wake_lost' AS code, i.task_id FROM agentplat.inbox AS i
JOIN agentplat.queue AS q ON q.task_id = i.task_id
WHERE q.worker_id IS NULL AND NOT q.ready AND q.crashes < :poison_limit
  AND (i.number > 0 OR i.at < :minute_ago)
UNION ALL
-- What is in the journal has left the inbox, in the same commit: it is not told twice.
SELECT 'told_twice' AS code, i.task_id FROM agentplat.inbox AS i
CROSS JOIN agentplat.journal AS j  -- in this order: SQLite would read the whole journal for an inbox that is empty
WHERE j.task_id = i.task_id AND ((i.kind = 'cancel' AND j.kind = 'cancel_requested')
   OR (i.kind = 'signal' AND j.kind = 'signal_received' AND j.content ->> 'key' = i.key)
   OR (i.number < 0 AND j.kind IN ('step_succeeded', 'step_failed', 'step_cancelled')
       AND i.name = '@child/' || (j.content ->> 'attempt') || '/' || (j.content ->> 'path')))
