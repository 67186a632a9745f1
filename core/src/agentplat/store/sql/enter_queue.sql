-- Purpose     Make accepted tasks claimable.
-- Parameters  at (NULL: the time of the transaction); for each task: task_id, tenant_id, queue, concurrency_key (empty: none),
--             priority, delay (seconds)
-- Returns     nothing
-- Invariant   One transaction with the tasks. The fence begins at 0 and never restarts.
-- Index       none is read
INSERT INTO agentplat.queue (task_id, tenant_id, queue, concurrency_key, priority, run_at, ready, wake, fence, under_way, suspect, crashes)
SELECT q.task_id, q.tenant_id, q.queue, q.concurrency_key, q.priority, coalesce(:at, now()) + make_interval(secs => q.delay), -- postgresql
       true, false, 0, false, false, 0                                         -- postgresql
FROM unnest(:task_id::uuid[], :tenant_id::text[], :queue::text[], :concurrency_key::text[], :priority::integer[], -- postgresql
            :delay::double precision[])                                        -- postgresql
    AS q (task_id, tenant_id, queue, concurrency_key, priority, delay)         -- postgresql
VALUES (:task_id, :tenant_id, :queue, :concurrency_key, :priority, coalesce(:at, clock_timestamp()) + CAST(:delay * 1000000 AS INTEGER), -- sqlite
        true, false, 0, false, false, 0)                                       -- sqlite
