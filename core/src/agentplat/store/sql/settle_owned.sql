-- Purpose     Write into queue rows that stay with their owners whether a step is under way, and clear them of suspicion.
-- Parameters  for each row: task_id, under_way (none: as it is), clears
-- Returns     nothing
-- Invariant   Runs behind vouch.sql, under its locks. `wake` stays as it is: only reading the inbox clears it.
-- Index       primary key: the array keeps the update on it, whatever the statistics say
UPDATE agentplat.queue AS q
SET under_way = coalesce(s.under_way, q.under_way), suspect = q.suspect AND NOT s.clears, -- postgresql
    crashes = CASE WHEN s.clears THEN 0 ELSE q.crashes END                     -- postgresql
FROM unnest(:task_id::uuid[], :under_way::boolean[], :clears::boolean[]) AS s (task_id, under_way, clears) -- postgresql
WHERE q.task_id = ANY (:task_id::uuid[]) AND q.task_id = s.task_id             -- postgresql
  AND (q.under_way <> s.under_way OR s.clears AND (q.suspect OR q.crashes > 0)) -- postgresql
SET under_way = coalesce(:under_way, under_way), suspect = suspect AND NOT :clears, -- sqlite
    crashes = CASE WHEN :clears THEN 0 ELSE crashes END                        -- sqlite
WHERE q.task_id = :task_id                                                     -- sqlite
