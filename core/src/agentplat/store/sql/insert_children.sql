-- Purpose     Insert tasks that are steps of other tasks.
-- Parameters  at (NULL: the time of the transaction); for each task: task_id, tenant_id, type, input, definition, user_hash,
--             trace_id, parent_span, placement, parent_id, dispatch
-- Returns     nothing
-- Invariant   Runs under the lock of the parent's queue row, in the transaction that writes its dispatch, with queue rows,
--             first events and audit rows. So there is no dispatch without its task, and no task without its dispatch.
-- Index       none is read
INSERT INTO agentplat.tasks (id, tenant_id, type, status, input, definition, user_hash, trace_id, parent_span, placement,
                             parent_id, dispatch, input_tokens, output_tokens, cost, created_at, updated_at)
SELECT t.task_id, t.tenant_id, t.type, 'open', t.input::jsonb, t.definition, t.user_hash, t.trace_id, t.parent_span, -- postgresql
       t.placement::jsonb, t.parent_id, t.dispatch::jsonb, 0, 0, 0, coalesce(:at, now()), coalesce(:at, now()) -- postgresql
FROM unnest(:task_id::uuid[], :tenant_id::text[], :type::text[], :input::text[], :definition::text[], :user_hash::text[], -- postgresql
            :trace_id::text[], :parent_span::text[], :placement::text[], :parent_id::uuid[], :dispatch::text[]) -- postgresql
    AS t (task_id, tenant_id, type, input, definition, user_hash, trace_id, parent_span, placement, parent_id, dispatch) -- postgresql
VALUES (:task_id, :tenant_id, :type, 'open', :input, :definition, :user_hash, :trace_id, :parent_span, :placement, -- sqlite
        :parent_id, :dispatch, 0, 0, 0, coalesce(:at, clock_timestamp()), coalesce(:at, clock_timestamp())) -- sqlite
