-- Purpose     Prolong a worker's lease, as long as its row lives.
-- Parameters  worker_id, lease_seconds
-- Returns     nothing; no row updated: the lease is lost
-- Invariant   An expired row that no sweeper has removed yet is prolonged: expiry is not loss. A sweeper that holds the
--             row is waited for, and then there is no row.
-- Index       primary key
UPDATE agentplat.workers
SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)    -- postgresql
SET lease_until = clock_timestamp() + CAST(:lease_seconds * 1000000 AS INTEGER) -- sqlite
WHERE id = :worker_id
