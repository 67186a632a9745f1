-- Purpose     Let the claims of a queue that have to choose come one after the other; where limits count, those of all queues.
-- Parameters  queue, claim_id
-- Returns     limits, rates: whether there are any, wherever; one row for each row of turns that is held now
-- Invariant   Who counts live claims against a limit does it in a later statement than the one that waits for this lock:
--             its view is then younger than the claim that was waited for. The row without a queue, which stands for all
--             limits, comes first, so that two claims never wait for each other. The claim's id in it says that it is held.
-- Index       primary key; ix_limits_counted, its first entry, and that of a limit with a rate (`starts > 0` is true of all)
INSERT INTO agentplat.turns AS t (queue, tenant_id, remaining, claim_id)
SELECT n.queue, '', 0, :claim_id
FROM (SELECT '' AS queue UNION ALL SELECT :queue) AS n
WHERE n.queue <> '' OR EXISTS (SELECT 1 FROM agentplat.limits WHERE at_once IS NOT NULL OR starts IS NOT NULL)
ORDER BY n.queue
ON CONFLICT (queue) DO UPDATE SET claim_id = excluded.claim_id
RETURNING
    EXISTS (SELECT 1 FROM agentplat.limits WHERE at_once IS NOT NULL OR starts IS NOT NULL) AS limits,
    EXISTS (SELECT 1 FROM agentplat.limits WHERE (at_once IS NOT NULL OR starts IS NOT NULL) AND starts > 0) AS rates
