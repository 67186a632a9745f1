-- Purpose     Hold the row of one worker whose lease has ended, the longest ended first.
-- Parameters  none
-- Returns     id
-- Invariant   Any number of sweepers may run: each takes another row. A row that was renewed between the look and the lock
--             is looked at again by the database, and left alone.
-- Index       none: one short row per process
SELECT id FROM agentplat.workers
WHERE lease_until <= clock_timestamp()
ORDER BY lease_until
LIMIT 1
FOR UPDATE SKIP LOCKED                                                         -- postgresql
