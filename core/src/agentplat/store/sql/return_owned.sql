-- Purpose     Take all tasks from a worker and make them claimable.
-- Parameters  worker_id, dead (whether it died, or left in good order), blame (a task whose step it was killed for, or NULL)
-- Returns     nothing
-- Invariant   Runs under the locks of lock_worker.sql and lock_owned.sql. The fence stays: the next claim raises it, and
--             without an owner no write is accepted but one that raises it too. A task that had a step under way when its
--             worker died is suspect. It has crashed only if it was run alone then, or is to blame; healthy neighbours
--             of a killer have not. A task that crashed three times is not claimable again.
-- Index       ix_queue_worker
UPDATE agentplat.queue
SET worker_id = NULL,
    claim_id = NULL,
    under_way = false,
    suspect = suspect OR (under_way AND :dead) OR coalesce(task_id = :blame, false),
    crashes = crashes + CASE WHEN (suspect AND under_way AND :dead) OR task_id = :blame THEN 1 ELSE 0 END,
    ready = crashes + CASE WHEN (suspect AND under_way AND :dead) OR task_id = :blame THEN 1 ELSE 0 END < 3,
    run_at = clock_timestamp()
WHERE worker_id = :worker_id
