-- Asks        Does somebody do the work: claim, sweep, heed what was asked?
-- Parameters  minute_ago, long_ago (ten minutes)
-- A sweeper fires timers within seconds.
SELECT 'timer_overdue' AS code, task_id AS id FROM agentplat.queue
WHERE worker_id IS NULL AND NOT ready AND crashes < :poison_limit AND run_at < :minute_ago
UNION ALL
-- A sweeper removes a worker whose lease has ended within seconds.
SELECT 'worker_not_swept' AS code, id FROM agentplat.workers WHERE lease_until < :minute_ago
UNION ALL
-- A sweeper ends a poisoned task within seconds.
SELECT 'poisoned_not_ended' AS code, task_id FROM agentplat.queue WHERE crashes >= :poison_limit AND run_at < :minute_ago
UNION ALL
-- Workers that lack a plugin leave a task to one that has it.
SELECT 'handed_back' AS code, task_id FROM agentplat.queue WHERE ready AND reason IS NOT NULL AND run_at < :minute_ago
UNION ALL
-- Tasks are claimed when they are ready.
SELECT 'waits_for_worker' AS code, task_id FROM agentplat.queue WHERE ready AND reason IS NULL AND run_at < :long_ago
