-- Purpose     Hold the queue rows of a batch until the end of the transaction, and say whether every lease holds and every
--             write continues its journal.
-- Parameters  for each write: task_id, worker_id, fence, first_seq (0: it brings no events); on SQLite `writes`, a list of these
-- Returns     now (of the transaction), woken (the tasks whose inbox has something), holding (how many leases hold)
-- Invariant   On PostgreSQL it begins a round that is the whole transaction: if not every lease holds, its error ends that
--             before anything is kept. Its text is what `postgres.py` knows it by. Ordered by task id, as everywhere. Of a
--             journal only the holder of the lease writes the end, so that a view of it from before the lock is as good as
--             one from behind it. But for the first attempt of the same write, committed meanwhile with nobody waiting for it:
--             then the primary key of the journal refuses this one, and it is judged by one that looks behind its locks.
-- Index       primary keys
WITH held AS MATERIALIZED (                                                    -- postgresql
    SELECT q.task_id, q.worker_id, q.fence, q.wake FROM agentplat.queue AS q   -- postgresql
    WHERE q.task_id = ANY (:task_id::uuid[])                                   -- postgresql
    ORDER BY q.task_id                                                         -- postgresql
    FOR UPDATE                                                                 -- postgresql
), holding AS MATERIALIZED (                                                   -- postgresql
    SELECT h.task_id, h.wake                                                   -- postgresql
    FROM unnest(:task_id::uuid[], :worker_id::uuid[], :fence::bigint[], :first_seq::bigint[]) -- postgresql
        AS w (task_id, worker_id, fence, first_seq)                            -- postgresql
    JOIN held AS h ON h.task_id = w.task_id AND h.worker_id = w.worker_id AND h.fence = w.fence -- postgresql
    WHERE w.first_seq = 0 OR w.first_seq = 1 + (SELECT max(j.seq) FROM agentplat.journal AS j WHERE j.task_id = w.task_id) -- postgresql
)                                                                              -- postgresql
SELECT now() AS now, array_agg(h.task_id) FILTER (WHERE h.wake) AS woken,      -- postgresql
       CASE WHEN count(*) = cardinality(:task_id::uuid[]) THEN count(*)        -- postgresql
            ELSE CAST('not every lease holds: ' || count(*) || ' of ' || cardinality(:task_id::uuid[]) AS bigint) -- postgresql
       END AS holding                                                          -- postgresql
FROM holding AS h                                                              -- postgresql
WITH w AS MATERIALIZED (                                                       -- sqlite
    SELECT value ->> 0 AS task_id, value ->> 1 AS worker_id, value ->> 2 AS fence, value ->> 3 AS first_seq -- sqlite
    FROM json_each(:writes)                                                    -- sqlite
)                                                                              -- sqlite
SELECT clock_timestamp() AS now, json_group_array(q.task_id) FILTER (WHERE q.wake) AS woken, count(*) AS holding -- sqlite
FROM w CROSS JOIN agentplat.queue AS q ON q.task_id = w.task_id AND q.worker_id = w.worker_id AND q.fence = w.fence -- sqlite
WHERE w.first_seq = 0 OR w.first_seq = 1 + (SELECT max(j.seq) FROM agentplat.journal AS j WHERE j.task_id = w.task_id) -- sqlite
