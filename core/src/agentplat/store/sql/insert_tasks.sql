-- Purpose     Insert accepted tasks.
-- Parameters  at (NULL: the time of the transaction); for each task: task_id, tenant_id, type, input, definition, user_hash,
--             trace_id, parent_span, retry_of, forked_from, placement
-- Returns     nothing
-- Invariant   One transaction with queue rows, first events and audit rows.
-- Index       none is read
INSERT INTO agentplat.tasks (id, tenant_id, type, status, input, definition, user_hash, trace_id, parent_span, retry_of,
                             forked_from, placement, input_tokens, output_tokens, cost, created_at, updated_at)
SELECT t.task_id, t.tenant_id, t.type, 'open', t.input::jsonb, t.definition, t.user_hash, t.trace_id, t.parent_span, -- postgresql
       t.retry_of, t.forked_from, t.placement::jsonb, 0, 0, 0, coalesce(:at, now()), coalesce(:at, now()) -- postgresql
FROM unnest(:task_id::uuid[], :tenant_id::text[], :type::text[], :input::text[], :definition::text[], :user_hash::text[], -- postgresql
            :trace_id::text[], :parent_span::text[], :retry_of::uuid[], :forked_from::uuid[], :placement::text[]) -- postgresql
    AS t (task_id, tenant_id, type, input, definition, user_hash, trace_id, parent_span, retry_of, forked_from, placement) -- postgresql
VALUES (:task_id, :tenant_id, :type, 'open', :input, :definition, :user_hash, :trace_id, :parent_span, :retry_of, -- sqlite
        :forked_from, :placement, 0, 0, 0, coalesce(:at, clock_timestamp()), coalesce(:at, clock_timestamp())) -- sqlite
