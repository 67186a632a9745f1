-- Purpose     Hold the queue rows of a batch until the end of the transaction, and break it off unless every lease holds and
--             every write continues its journal.
-- Parameters  for each write: task_id, worker_id, fence, first_seq (0: it brings no events)
-- Returns     now (of the transaction), woken (the tasks whose inbox has something)
-- Invariant   Only on PostgreSQL, at the beginning of a round that is the whole transaction: what follows is carried out only
--             if this gives a row, since its error ends the transaction before anything is kept. Ordered by task id, as
--             everywhere. Of a journal only the holder of the lease writes the end, so that a view of it from before the
--             lock is as good as one from behind it. The text of the error is what `postgres.py` knows it by.
-- Index       primary keys
WITH held AS MATERIALIZED (
    SELECT q.task_id, q.worker_id, q.fence, q.wake FROM agentplat.queue AS q
    WHERE q.task_id = ANY (:task_id::uuid[])
    ORDER BY q.task_id
    FOR UPDATE
), holding AS MATERIALIZED (
    SELECT h.task_id, h.wake
    FROM unnest(:task_id::uuid[], :worker_id::uuid[], :fence::bigint[], :first_seq::bigint[])
        AS w (task_id, worker_id, fence, first_seq)
    JOIN held AS h ON h.task_id = w.task_id AND h.worker_id = w.worker_id AND h.fence = w.fence
    WHERE w.first_seq = 0 OR w.first_seq = 1 + (SELECT max(j.seq) FROM agentplat.journal AS j WHERE j.task_id = w.task_id)
)
SELECT now() AS now, array_agg(h.task_id) FILTER (WHERE h.wake) AS woken,
       CASE WHEN count(*) < cardinality(:task_id::uuid[])
            THEN CAST('not every lease holds: ' || count(*) || ' of ' || cardinality(:task_id::uuid[]) AS integer)
       END AS missing
FROM holding AS h
