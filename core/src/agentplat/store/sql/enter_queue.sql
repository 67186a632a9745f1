-- Purpose     Make accepted tasks claimable.
-- Parameters  at (NULL: the time of the transaction); for each task: task_id, tenant_id, queue, concurrency_key (empty: none),
--             priority, delay (seconds), run_at (or when; NULL: by the delay)
-- Returns     nothing
-- Invariant   One transaction with the tasks. The fence begins at 0 and never restarts. A time that has been does not
--             make a task older than those that are waiting.
-- Index       none is read
INSERT INTO agentplat.queue (task_id, tenant_id, queue, concurrency_key, priority, run_at, ready, wake, fence, under_way, suspect, crashes)
SELECT q.task_id, q.tenant_id, q.queue, q.concurrency_key, q.priority,         -- postgresql
       greatest(coalesce(:at, now()) + make_interval(secs => q.delay), q.run_at), true, false, 0, false, false, 0 -- postgresql
FROM unnest(:task_id::uuid[], :tenant_id::text[], :queue::text[], :concurrency_key::text[], :priority::integer[], -- postgresql
            :delay::double precision[], :run_at::timestamptz[])                -- postgresql
    AS q (task_id, tenant_id, queue, concurrency_key, priority, delay, run_at) -- postgresql
VALUES (:task_id, :tenant_id, :queue, :concurrency_key, :priority,             -- sqlite
        max(coalesce(:at, clock_timestamp()) + CAST(:delay * 1000000 AS INTEGER), coalesce(:run_at, 0)), -- sqlite
        true, false, 0, false, false, 0)                                       -- sqlite
