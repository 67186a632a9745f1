-- Asks        Does each limit hold?
-- Parameters  none
-- No more tasks are owned under a limit than it says. Whoever sets a limit below what runs takes nothing away: what ran then
-- is written down (`running`) and let be, until a claim is made under the limit: that needed room, so from then on nothing
-- more than the limit says is let be (note_limits.sql).
SELECT 'limit_exceeded' AS code, l.tenant_id || '/' || l.key AS id FROM agentplat.limits AS l
WHERE l.at_once IS NOT NULL AND (
    SELECT count(*) FROM agentplat.queue AS q
    WHERE q.worker_id IS NOT NULL AND q.tenant_id = l.tenant_id AND (l.key = '' OR q.concurrency_key = l.key)
) > CASE WHEN l.running > l.at_once THEN l.running ELSE l.at_once END
