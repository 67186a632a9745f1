-- Purpose     Move a schedule on from a due time, to whoever submits its tasks in the same transaction.
-- Parameters  tenant, schedule, revision, seen (as they were read), next_at, last_at (NULL: as it was), fault
-- Returns     name, if it was taken
-- Invariant   Of all who saw the time due one takes it: `next_at` has moved for the others, as soon as this is committed.
--             Who comes meanwhile passes by, and looks again. A schedule that was changed is looked at again as well.
-- Index       primary key
UPDATE agentplat.schedules
SET next_at = :next_at, last_at = coalesce(:last_at, last_at), fault = :fault
WHERE (tenant_id, name) IN (
    SELECT s.tenant_id, s.name FROM agentplat.schedules AS s
    WHERE s.tenant_id = :tenant AND s.name = :schedule AND s.revision = :revision AND s.next_at = :seen AND NOT s.paused
      AND s.next_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED                                                     -- postgresql
)
RETURNING name
