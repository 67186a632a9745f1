-- Purpose     Write into queue rows that stay with their owners whether a step is under way, and clear them of suspicion.
-- Parameters  for each row: task_id, under_way (none: as it is), clears
-- Returns     nothing
-- Invariant   Only on PostgreSQL, behind vouch.sql. `wake` stays as it is: only reading the inbox clears it.
-- Index       primary key: the array keeps the update on it, whatever the statistics say
UPDATE agentplat.queue AS q
SET under_way = coalesce(s.under_way, q.under_way), suspect = q.suspect AND NOT s.clears, crashes = CASE WHEN s.clears THEN 0 ELSE q.crashes END
FROM unnest(:task_id::uuid[], :under_way::boolean[], :clears::boolean[]) AS s (task_id, under_way, clears)
WHERE q.task_id = ANY (:task_id::uuid[]) AND q.task_id = s.task_id
  AND (q.under_way <> s.under_way OR s.clears AND (q.suspect OR q.crashes > 0))
