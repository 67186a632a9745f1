-- Asks        Was each step executed as often as it may be, by the owner of the moment, and does it have one outcome?
-- Parameters  low, high (tasks of this range of ids)
-- How         One scan adds the events of each execution path up. Paths other than the plainest (one start, then one
--             outcome, of the same owner) are then divided into attempts: from one start to the next. Without its LIMIT, SQLite
--             would take the inner query for a part of the outer one, and sort whole events by their paths.
WITH paths AS MATERIALIZED (
    SELECT task_id, path,
           count(*) AS events,
           min(fence) AS first_fence,
           max(fence) AS last_fence,
           count(*) FILTER (WHERE starts) AS starts,
           min(CASE WHEN plain = 'start' THEN seq END) AS start_seq,
           max(CASE WHEN plain = 'outcome' THEN seq END) AS outcome_seq
    FROM (
        SELECT task_id, seq, fence, content ->> 'path' AS path, kind IN ('step_started', 'wait_started', 'child_dispatched') AS starts,
               CASE WHEN kind = 'step_started' AND content -> 'attempt' = '1' AND content -> 'try_number' = '1' THEN 'start'
                    WHEN kind IN ('step_succeeded', 'step_failed', 'step_cancelled') AND content -> 'attempt' = '1'
                    THEN 'outcome' END AS plain
        FROM agentplat.journal
        WHERE task_id >= :low AND task_id < :high
          AND task_id IN (SELECT value FROM json_each(:picked))                                        -- picked
          AND kind IN (
              'step_started', 'step_succeeded', 'step_failed', 'step_cancelled', 'wait_started', 'step_skipped',
              'step_refused', 'retry_scheduled', 'timer_fired', 'child_dispatched'
          )
        LIMIT -1                                                                                       -- sqlite
    ) AS told
    GROUP BY task_id, path
), unusual AS (
    SELECT task_id, path FROM paths
    WHERE events <> 2 OR first_fence <> last_fence OR coalesce(start_seq >= outcome_seq, true)
), told AS (
    SELECT j.task_id, u.path, j.seq, j.fence, j.kind,
           j.kind IN ('step_started', 'wait_started', 'child_dispatched') AS starts,
           CAST(j.content -> 'attempt' AS text) AS attempt,
           CAST(j.content -> 'try_number' AS text) AS try_number,
           sum(CASE WHEN j.kind IN ('step_started', 'wait_started', 'child_dispatched') THEN 1 ELSE 0 END)
               OVER (PARTITION BY j.task_id, u.path ORDER BY j.seq) AS number
    FROM unusual AS u CROSS JOIN agentplat.journal AS j
    WHERE j.task_id = u.task_id AND u.path = j.content ->> 'path' AND j.task_id >= :low AND j.task_id < :high
      AND j.kind IN (
          'step_started', 'step_succeeded', 'step_failed', 'step_cancelled', 'wait_started', 'step_skipped',
          'step_refused', 'retry_scheduled', 'timer_fired', 'child_dispatched'
      )
), attempts AS (
    SELECT task_id, path, number,
           max(CASE WHEN starts THEN kind END) AS start_kind,
           max(CASE WHEN starts THEN fence END) AS fence,
           max(CASE WHEN starts THEN coalesce(attempt, '1') END) AS attempt,
           max(CASE WHEN starts THEN coalesce(try_number, '1') END) AS try_number,
           count(*) FILTER (WHERE kind IN ('step_succeeded', 'step_failed', 'step_cancelled')) AS outcomes,
           count(*) FILTER (WHERE kind = 'step_cancelled') AS cancels,
           count(*) FILTER (WHERE kind IN ('step_succeeded', 'step_skipped')) AS successes,
           count(*) FILTER (WHERE kind = 'retry_scheduled') AS retries,
           max(CASE WHEN kind IN ('step_succeeded', 'step_failed', 'step_cancelled')
                     AND attempt IS DISTINCT FROM CAST(number AS text) THEN 1 ELSE 0 END) AS strays,
           min(CASE WHEN kind IN ('step_succeeded', 'step_failed') THEN fence END) AS least_outcome_fence,
           max(CASE WHEN kind IN ('step_succeeded', 'step_failed') THEN fence END) AS most_outcome_fence
    FROM told
    GROUP BY task_id, path, number
), executed AS MATERIALIZED (
    SELECT *,
           lag(fence) OVER history AS fence_before,
           lag(retries) OVER history AS retries_since,
           sum(retries) OVER earlier AS retries_before,
           sum(successes) OVER earlier AS successes_before,
           lead(number) OVER history AS next_number
    FROM attempts
    WINDOW history AS (PARTITION BY task_id, path ORDER BY number),
           earlier AS (PARTITION BY task_id, path ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), strange_calls AS MATERIALIZED (
    SELECT c.task_id, coalesce(p.starts, 0) = 0 AS without_step
    FROM agentplat.calls AS c
    LEFT JOIN paths AS p ON p.task_id = c.task_id AND p.path = c.path
    WHERE c.task_id >= :low AND c.task_id < :high
      AND c.task_id IN (SELECT value FROM json_each(:picked))                                          -- picked
      AND (coalesce(p.starts, 0) = 0 OR c.fence < p.first_fence OR c.fence > p.last_fence)
)
-- An outcome is that of a start before it, of the same attempt.
SELECT 'outcome_without_start' AS code, task_id AS id FROM executed WHERE strays = 1 OR (number = 0 AND outcomes > 0)
UNION ALL
-- The outcome of an attempt is committed once. A step that failed and waits for its next try may still be cancelled.
SELECT 'outcome_twice' AS code, task_id FROM executed
WHERE outcomes > 1 AND NOT (outcomes = 2 AND retries > 0 AND cancels > 0 AND successes = 0)
UNION ALL
-- No step is started again after its success, or after it was skipped.
SELECT 'start_after_success' AS code, task_id FROM executed WHERE number > 0 AND successes_before > 0
UNION ALL
-- Attempts count from 1 without gaps. A wait begins once.
SELECT 'attempt_gap' AS code, task_id FROM executed
WHERE number > 0 AND (attempt <> CAST(number AS text) OR (start_kind = 'wait_started' AND number > 1))
UNION ALL
-- Tries count from 1, and each further one was scheduled.
SELECT 'try_not_scheduled' AS code, task_id FROM executed
WHERE start_kind <> 'wait_started' AND try_number <> CAST(1 + coalesce(retries_before, 0) AS text)
UNION ALL
-- A step is executed again for two reasons only: its owner was lost, or a retry was scheduled.
SELECT 'repeated_without_reason' AS code, task_id FROM executed
WHERE number > 1 AND fence <= fence_before AND retries_since = 0
UNION ALL
-- Only the owner that started an attempt says what came of it.
SELECT 'outcome_of_another_owner' AS code, task_id FROM executed
WHERE start_kind = 'step_started' AND (least_outcome_fence <> fence OR most_outcome_fence <> fence)
UNION ALL
-- A workflow that came to its end has no step under way, and none that waits for a try.
SELECT 'step_left_open' AS code, task_id FROM executed AS e
WHERE e.number > 0 AND e.next_number IS NULL AND (e.outcomes = 0 OR (e.retries > 0 AND e.outcomes < 2))
  AND EXISTS (
      SELECT 1 FROM agentplat.journal AS j
      WHERE j.task_id = e.task_id AND j.kind IN ('block_finished', 'block_failed', 'block_cancelled')
        AND j.content ->> 'path' = ''
  )
UNION ALL
-- A call is made by a step that was started, in a task that is known.
SELECT 'call_without_step' AS code, task_id FROM strange_calls WHERE without_step
UNION ALL
-- A call is recorded by an owner that had the step, while it had it.
SELECT 'call_of_another_owner' AS code, task_id FROM strange_calls WHERE NOT without_step
