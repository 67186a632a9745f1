-- Asks        Does each child belong to the dispatch that its parent's journal has, and hears the parent how it ended?
-- Parameters  low, high (tasks of this range of ids)
WITH dispatched AS MATERIALIZED (
    SELECT j.task_id, j.seq, j.content ->> 'execution_id' AS child,
           CAST(j.content -> 'attempt' AS text) AS attempt, j.content ->> 'path' AS path
    FROM agentplat.journal AS j
    WHERE j.task_id >= :low AND j.task_id < :high AND j.kind = 'child_dispatched'
      AND j.task_id IN (SELECT value FROM json_each(:picked))                                          -- picked
), awaited AS MATERIALIZED (
    SELECT d.task_id, d.seq, CAST(d.child AS uuid) AS child                    -- postgresql
    SELECT d.task_id, d.seq, replace(d.child, '-', '') AS child                -- sqlite
    FROM dispatched AS d
    WHERE NOT EXISTS (
        SELECT 1 FROM agentplat.journal AS o
        WHERE o.task_id = d.task_id AND o.seq > d.seq AND o.kind IN ('step_succeeded', 'step_failed', 'step_cancelled')
          AND o.content ->> 'path' = d.path AND CAST(o.content -> 'attempt' AS text) = d.attempt
    )
), children AS MATERIALIZED (
    SELECT t.id, t.tenant_id, t.parent_id,
           CAST(t.dispatch ->> 'seq' AS bigint) AS seq, CAST(t.dispatch ->> 'depth' AS bigint) AS depth
    FROM agentplat.tasks AS t
    WHERE t.parent_id IS NOT NULL AND t.id >= :low AND t.id < :high
      AND t.id IN (SELECT value FROM json_each(:picked))                                               -- picked
)
-- A dispatch and its task are one commit: there is no child that nobody works on.
SELECT 'dispatch_without_child' AS code, a.task_id AS id FROM awaited AS a
LEFT JOIN agentplat.tasks AS t ON t.id = a.child AND t.parent_id = a.task_id
WHERE t.id IS NULL
UNION ALL
-- And there is no child that nobody dispatched.
SELECT 'child_without_dispatch' AS code, c.id FROM children AS c
LEFT JOIN agentplat.journal AS j ON j.task_id = c.parent_id AND j.seq = c.seq
WHERE EXISTS (SELECT 1 FROM agentplat.journal AS f WHERE f.task_id = c.parent_id AND f.seq = 1)
  AND (
    j.kind IS NULL OR j.kind <> 'child_dispatched'
    OR j.content ->> 'execution_id' IS DISTINCT FROM CAST(c.id AS text)        -- postgresql
    OR replace(j.content ->> 'execution_id', '-', '') IS DISTINCT FROM c.id    -- sqlite
  )
UNION ALL
-- A parent that waits for a child which has ended has been told, or will be.
SELECT 'child_end_lost' AS code, a.task_id FROM awaited AS a
JOIN agentplat.tasks AS t ON t.id = a.child AND t.parent_id = a.task_id AND t.status <> 'open'
JOIN agentplat.queue AS q ON q.task_id = a.task_id
LEFT JOIN agentplat.inbox AS i ON i.task_id = a.task_id AND i.number = -a.seq
WHERE i.task_id IS NULL
UNION ALL
-- A child is of the tenant of its parent.
SELECT 'child_of_another_tenant' AS code, c.id FROM children AS c
JOIN agentplat.tasks AS p ON p.id = c.parent_id
WHERE p.tenant_id <> c.tenant_id
UNION ALL
-- A child stands one below its parent, and no deeper than ten.
SELECT 'child_too_deep' AS code, c.id FROM children AS c
JOIN agentplat.tasks AS p ON p.id = c.parent_id
WHERE c.depth > 10 OR c.depth <> 1 + coalesce(CAST(p.dispatch ->> 'depth' AS bigint), 0)
