-- Asks        Does each schedule go on, by what its table allows?
-- Parameters  minute_ago
-- A schedule goes on: its next time is behind the last one that was dealt with.
SELECT 'schedule_goes_back' AS code, tenant_id || '/' || name AS id FROM agentplat.schedules WHERE next_at <= last_at
UNION ALL
-- What the constraints of the table say, for the case that somebody dropped them.
SELECT 'schedule_shape' AS code, tenant_id || '/' || name FROM agentplat.schedules
WHERE catch_up NOT IN ('skip', 'last', 'all') OR catch_up_limit < 1 OR catch_up_limit > 1000 OR source NOT IN ('file', 'api')
UNION ALL
-- A sweeper deals with a due time within seconds.
SELECT 'schedule_overdue' AS code, tenant_id || '/' || name FROM agentplat.schedules
WHERE NOT paused AND next_at < :minute_ago
UNION ALL
-- A due time makes its task.
SELECT 'schedule_fault' AS code, tenant_id || '/' || name FROM agentplat.schedules WHERE NOT paused AND fault IS NOT NULL
