-- Purpose     Add events to journals.
-- Parameters  at; for each event: task_id, seq, tenant_id, fence, kind, content
-- Returns     nothing
-- Invariant   Runs under the lock of each task's queue row, for writes whose lease holds. The primary key refuses a number
--             that is taken.
-- Index       none is read
INSERT INTO agentplat.journal (task_id, seq, tenant_id, fence, at, kind, content)
SELECT e.task_id, e.seq, e.tenant_id, e.fence, coalesce(:at, now()), e.kind, e.content::jsonb -- postgresql
FROM unnest(:task_id::uuid[], :seq::bigint[], :tenant_id::text[], :fence::bigint[], :kind::text[], :content::text[]) -- postgresql
    AS e (task_id, seq, tenant_id, fence, kind, content)                       -- postgresql
VALUES (:task_id, :seq, :tenant_id, :fence, coalesce(:at, clock_timestamp()), :kind, :content) -- sqlite
