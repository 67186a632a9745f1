-- Purpose     Write what tasks have used so far into their rows.
-- Parameters  at (none: now); for each task: task_id, model, input_tokens, output_tokens, cost
-- Returns     nothing
-- Invariant   Runs under the locks of the queue rows; the sums are the owner's, so nothing is read and added here.
-- Index       primary key: the array keeps the update on it, whatever the statistics say
UPDATE agentplat.tasks AS t
SET updated_at = coalesce(:at, now()), model = s.model, input_tokens = s.input_tokens, output_tokens = s.output_tokens, cost = s.cost -- postgresql
FROM unnest(:task_id::uuid[], :model::text[], :input_tokens::bigint[], :output_tokens::bigint[], :cost::bigint[]) -- postgresql
    AS s (task_id, model, input_tokens, output_tokens, cost)                   -- postgresql
WHERE t.id = ANY (:task_id::uuid[]) AND t.id = s.task_id                       -- postgresql
SET updated_at = :at, model = :model, input_tokens = :input_tokens, output_tokens = :output_tokens, cost = :cost -- sqlite
WHERE t.id = :task_id                                                          -- sqlite
