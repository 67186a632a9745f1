-- Asks        Is each queue row that of an open task, with an owner that lives, or with something to wait for?
-- Parameters  low, high (tasks of this range of ids)
WITH here AS MATERIALIZED (
    SELECT * FROM agentplat.queue WHERE task_id >= :low AND task_id < :high
), told AS (
    -- What may keep a parked task waiting, and what has ended such a wait.
    SELECT j.task_id, j.content ->> 'path' AS path, j.seq, j.kind,
           CAST(j.content -> 'signal' AS text) AS signal, CAST(j.content -> 'delay' AS text) AS delay,
           max(j.seq) OVER (PARTITION BY j.task_id, j.content ->> 'path') AS last_seq
    FROM agentplat.journal AS j
    JOIN here AS q ON q.task_id = j.task_id
    WHERE q.worker_id IS NULL AND NOT q.ready AND q.crashes < :poison_limit AND q.run_at IS NULL
      AND j.kind IN (
          'wait_started', 'retry_scheduled', 'child_dispatched', 'step_started', 'step_succeeded', 'step_failed',
          'step_cancelled'
      )
), waits AS (
    SELECT task_id, max(CASE WHEN delay <> 'null' THEN 1 ELSE 0 END) AS timed
    FROM told WHERE seq = last_seq AND kind IN ('wait_started', 'retry_scheduled', 'child_dispatched')
    GROUP BY task_id
), begun AS (
    -- Steps whose body runs: started by the owner of now, without an outcome.
    SELECT q.task_id
    FROM here AS q
    JOIN agentplat.journal AS j ON j.task_id = q.task_id AND j.fence = q.fence
    WHERE q.worker_id IS NOT NULL
      AND j.kind IN ('step_started', 'step_succeeded', 'step_failed', 'step_cancelled')
    GROUP BY q.task_id, j.content ->> 'path', CAST(j.content -> 'attempt' AS text)
    HAVING count(*) FILTER (WHERE j.kind = 'step_started') > count(*) FILTER (WHERE j.kind <> 'step_started')
)
-- The queue row lives as long as the task is open, and no longer.
SELECT 'queue_without_open_task' AS code, q.task_id AS id FROM here AS q
LEFT JOIN agentplat.tasks AS t ON t.id = q.task_id
WHERE t.id IS NULL OR t.status <> 'open'
UNION ALL
-- An owner's row lives as long as it owns something: otherwise no sweeper would ever return the task.
SELECT 'owner_unknown' AS code, q.task_id FROM here AS q
LEFT JOIN agentplat.workers AS w ON w.id = q.worker_id
WHERE q.worker_id IS NOT NULL AND w.id IS NULL
UNION ALL
-- What the constraints of the table say, for the case that somebody dropped them.
SELECT 'queue_shape' AS code, task_id FROM here
WHERE (worker_id IS NOT NULL AND (ready OR fence < 1))
   OR (worker_id IS NULL) <> (claim_id IS NULL)
   OR (ready AND run_at IS NULL)
   OR (under_way AND worker_id IS NULL)
   OR (wake AND NOT ready AND worker_id IS NULL AND crashes < :poison_limit)
   OR (crashes >= :poison_limit AND (ready OR worker_id IS NOT NULL))
   OR fence < 0 OR crashes < 0
UNION ALL
-- Only a task that is run alone can crash, so one that has crashed is suspect; and after three crashes it is not run.
SELECT 'crash_without_suspicion' AS code, task_id FROM here WHERE crashes > :poison_limit OR (crashes > 0 AND NOT suspect)
UNION ALL
-- Waiting ends: a task that waits for a time has a timer.
SELECT 'timer_lost' AS code, task_id FROM waits WHERE timed = 1
UNION ALL
-- A task that is parked waits for something.
SELECT 'waits_for_nothing' AS code, q.task_id FROM here AS q
LEFT JOIN waits AS w ON w.task_id = q.task_id
WHERE q.worker_id IS NULL AND NOT q.ready AND q.crashes < :poison_limit AND q.run_at IS NULL AND w.task_id IS NULL
UNION ALL
-- A death during a step is noticed: the mark says whether a step is under way.
SELECT 'under_way_differs' AS code, q.task_id FROM here AS q
WHERE q.worker_id IS NOT NULL AND q.under_way <> (q.task_id IN (SELECT b.task_id FROM begun AS b))
