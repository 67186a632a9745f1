-- Asks        Does each limit hold?
-- Parameters  none
-- No more tasks are owned under a limit than it says. Whoever sets a limit below what runs then takes nothing away: so many
-- it has written down, and no claim makes more of them.
SELECT 'limit_exceeded' AS code, l.tenant_id || '/' || l.key AS id FROM agentplat.limits AS l
WHERE l.at_once IS NOT NULL AND (
    SELECT count(*) FROM agentplat.queue AS q
    WHERE q.worker_id IS NOT NULL AND q.tenant_id = l.tenant_id AND (l.key = '' OR q.concurrency_key = l.key)
) > CASE WHEN l.running > l.at_once THEN l.running ELSE l.at_once END
