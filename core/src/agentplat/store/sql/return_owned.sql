-- Purpose     Take all tasks from a worker and make them claimable.
-- Parameters  worker_id, dead (whether it died, or left in good order), blame (a task whose step it was killed for, or NULL)
-- Returns     nothing
-- Invariant   Runs under the locks of lock_worker.sql and lock_owned.sql. The fence stays: the next claim raises it, and
--             without an owner no write is accepted but one that raises it too. A task that had a step under way when its
--             worker died is suspect. It has crashed only if it was run alone then, or is to blame; healthy neighbours
--             of a killer have not. A task that crashed three times is not claimable again. What its owner had read from the
--             inbox and not accounted for is still there, and the next owner has to be told of it.
-- Index       ix_queue_worker; the inbox by its primary key
UPDATE agentplat.queue
SET worker_id = NULL,
    claim_id = NULL,
    under_way = false,
    wake = wake OR (SELECT i.id FROM agentplat.inbox AS i WHERE i.task_id = queue.task_id ORDER BY i.task_id LIMIT 1) IS NOT NULL,
    suspect = suspect OR (under_way AND :dead) OR coalesce(task_id = :blame, false),
    crashes = crashes + CASE WHEN (suspect AND under_way AND :dead) OR task_id = :blame THEN 1 ELSE 0 END,
    ready = crashes + CASE WHEN (suspect AND under_way AND :dead) OR task_id = :blame THEN 1 ELSE 0 END < 3,
    run_at = clock_timestamp()
WHERE worker_id = :worker_id
