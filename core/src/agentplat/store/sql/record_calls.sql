-- Purpose     Keep calls in the ledger.
-- Parameters  at (none: now); for each call: task_id, path, try_number, number, tenant_id, kind, name, status, content, model,
--             input_tokens, output_tokens, cost, fence
-- Returns     nothing
-- Invariant   Runs under the lock of each task's queue row, for leases that hold. A later record of a call replaces an earlier.
-- Index       primary key
INSERT INTO agentplat.calls (at, task_id, path, try_number, number, tenant_id, kind, name, status, content, model,
                             input_tokens, output_tokens, cost, fence)
SELECT coalesce(:at, now()), c.task_id, c.path, c.try_number, c.number, c.tenant_id, c.kind, c.name, c.status, c.content::jsonb, c.model, -- postgresql
       c.input_tokens, c.output_tokens, c.cost, c.fence                        -- postgresql
FROM unnest(:task_id::uuid[], :path::text[], :try_number::integer[], :number::integer[], :tenant_id::text[], :kind::text[], -- postgresql
            :name::text[], :status::text[], :content::text[], :model::text[], :input_tokens::bigint[], -- postgresql
            :output_tokens::bigint[], :cost::bigint[], :fence::bigint[])       -- postgresql
    AS c (task_id, path, try_number, number, tenant_id, kind, name, status, content, model, input_tokens, output_tokens, cost, fence) -- postgresql
VALUES (:at, :task_id, :path, :try_number, :number, :tenant_id, :kind, :name, :status, :content, :model, -- sqlite
        :input_tokens, :output_tokens, :cost, :fence)                          -- sqlite
ON CONFLICT (task_id, path, try_number, number) DO UPDATE
SET at = excluded.at, tenant_id = excluded.tenant_id, kind = excluded.kind, name = excluded.name, status = excluded.status,
    content = excluded.content, model = excluded.model, input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens, cost = excluded.cost, fence = excluded.fence
