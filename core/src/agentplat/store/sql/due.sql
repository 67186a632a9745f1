-- Purpose     Say whether a sweep has anything to do, and when the next one will.
-- Parameters  none
-- Returns     expired, told, poisoned (whether there is any); lease_until, timer_at, run_at, opens_at, next_at (the earliest
--             lease, timer, delay, room under a full rate, and time of a schedule, of which the timer and the schedule may be
--             overdue), opened_at (when there was room last), now
-- Invariant   none: it only looks. What it finds is looked at again under locks.
-- Index       ix_queue_timer, ix_queue_due and ix_queue_poisoned, the first entry of each, whatever the statistics say; of
--             ix_limits_opens those beside this moment; workers, schedules and inbox are short. `fence >= 0` is always true: it
--             is there because only who asks for the first of a time may use ix_queue_due. A claim that did would have to sort
--             all that waits.
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
SELECT
    EXISTS (SELECT 1 FROM agentplat.workers WHERE lease_until <= (SELECT now FROM clock)) AS expired,
    EXISTS (SELECT 1 FROM agentplat.inbox) AS told,
    (SELECT task_id FROM agentplat.queue WHERE crashes >= 3 ORDER BY task_id LIMIT 1) IS NOT NULL AS poisoned,
    (SELECT min(lease_until) FROM agentplat.workers WHERE lease_until > (SELECT now FROM clock)) AS lease_until,
    (
        SELECT run_at FROM agentplat.queue
        WHERE NOT ready AND worker_id IS NULL AND run_at IS NOT NULL AND crashes < 3
        ORDER BY run_at LIMIT 1
    ) AS timer_at,
    (
        SELECT run_at FROM agentplat.queue
        WHERE ready AND fence >= 0 AND run_at > (SELECT now FROM clock)
        ORDER BY run_at LIMIT 1
    ) AS run_at,
    (SELECT opens_at FROM agentplat.limits WHERE opens_at > (SELECT now FROM clock) ORDER BY opens_at LIMIT 1) AS opens_at,
    (SELECT opens_at FROM agentplat.limits WHERE opens_at <= (SELECT now FROM clock) ORDER BY opens_at DESC LIMIT 1) AS opened_at,
    (SELECT next_at FROM agentplat.schedules WHERE NOT paused ORDER BY next_at LIMIT 1) AS next_at,
    (SELECT now FROM clock) AS now
