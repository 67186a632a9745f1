-- Purpose     Put how children have ended into the inboxes of their parents.
-- Parameters  at (NULL: the time of the transaction); for each task: task_id, key, payload
-- Returns     nothing
-- Invariant   Runs under the lock of the child's queue row, in the transaction that writes its end, and takes no lock on the
--             parent's: whoever locks both waits in a circle. So the place in the inbox is not counted but given: the
--             place of the dispatch in the parent's journal, below zero, which nobody else takes. Waking follows, see
--             wake_parents.sql. A parent that is over hears nothing; of one that ends at this moment forget_told.sql
--             removes what came too late.
-- Index       primary keys of tasks and queue
INSERT INTO agentplat.inbox (task_id, number, id, tenant_id, kind, key, name, payload, at)
SELECT t.parent_id, -CAST(t.dispatch ->> 'seq' AS bigint), t.id, t.tenant_id, 'signal', e.key, -- postgresql
       '@child/' || (t.dispatch ->> 'attempt') || '/' || (t.dispatch ->> 'path'), e.payload::jsonb, coalesce(:at, now()) -- postgresql
FROM unnest(:task_id::uuid[], :key::text[], :payload::text[]) AS e (task_id, key, payload) -- postgresql
JOIN agentplat.tasks AS t ON t.id = ANY (:task_id::uuid[]) AND t.id = e.task_id -- postgresql
SELECT t.parent_id, -CAST(t.dispatch ->> 'seq' AS INTEGER), t.id, t.tenant_id, 'signal', :key, -- sqlite
       '@child/' || (t.dispatch ->> 'attempt') || '/' || (t.dispatch ->> 'path'), :payload, coalesce(:at, clock_timestamp()) -- sqlite
FROM agentplat.tasks AS t                                                      -- sqlite
WHERE t.id = :task_id                                                          -- sqlite
  AND t.parent_id IS NOT NULL                                                  -- sqlite
WHERE t.parent_id IS NOT NULL                                                  -- postgresql
  AND (SELECT q.task_id FROM agentplat.queue AS q WHERE q.task_id = t.parent_id ORDER BY q.task_id LIMIT 1) IS NOT NULL
ON CONFLICT DO NOTHING
