-- Purpose     Read the tasks that a claim gave.
-- Parameters  worker_id, claim_id
-- Returns     id, tenant_id, type, definition, trace_id, parent_span, created_at, parent_id, dispatch, user_hash,
--             queue, fence, priority, run_at, wake, suspect, now
-- Invariant   none: whoever owns a row may read it
-- Index       ix_queue_worker, then the primary key of tasks. OFFSET keeps it so: where the statistics say that a table is
--             empty, which the queue is most of the time, walking through the whole of it looks as cheap.
SELECT t.id, t.tenant_id, t.type, t.definition, t.trace_id, t.parent_span, t.created_at, t.parent_id, t.dispatch, t.user_hash,
       q.queue, q.fence, q.priority, q.run_at, q.wake, q.suspect, (SELECT clock_timestamp()) AS now
FROM agentplat.queue AS q
CROSS JOIN LATERAL (SELECT * FROM agentplat.tasks AS a WHERE a.id = q.task_id OFFSET 0) AS t -- postgresql
JOIN agentplat.tasks AS t ON t.id = q.task_id                                  -- sqlite
WHERE q.worker_id = :worker_id AND q.claim_id = :claim_id
