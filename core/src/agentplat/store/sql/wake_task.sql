-- Purpose     Make a task that was told something claimable, or let its owner know.
-- Parameters  task_id, hurry (whether a delay that it has still to wait out is cut short)
-- Returns     nothing
-- Invariant   Runs under the lock of the row, in the transaction that put something into the inbox. An owner who parks
--             before it is seen here as gone, so the task gets ready; one who parks after it sees `wake` and leaves
--             the task ready. So whichever commits second sees the other, and no wake-up is lost. A poisoned task rests.
-- Index       primary key
UPDATE agentplat.queue
SET wake = true,
    run_at = CASE WHEN worker_id IS NULL AND (NOT ready OR (:hurry AND run_at > clock_timestamp())) THEN clock_timestamp() ELSE run_at END,
    ready = ready OR (worker_id IS NULL AND crashes < 3)
WHERE task_id = :task_id
