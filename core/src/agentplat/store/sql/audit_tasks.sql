-- Purpose     Write down who submitted or ended tasks.
-- Parameters  at (NULL: the time of the transaction); for each act: tenant_id, actor, action, task_id, content
-- Returns     nothing
-- Invariant   Part of the transaction that does what it says.
-- Index       none is read
INSERT INTO agentplat.audit (tenant_id, at, actor, action, task_id, content)
SELECT a.tenant_id, coalesce(:at, now()), a.actor, a.action, a.task_id, a.content::jsonb -- postgresql
FROM unnest(:tenant_id::text[], :actor::text[], :action::text[], :task_id::uuid[], :content::text[]) -- postgresql
    AS a (tenant_id, actor, action, task_id, content)                          -- postgresql
VALUES (:tenant_id, coalesce(:at, clock_timestamp()), :actor, :action, :task_id, :content) -- sqlite
