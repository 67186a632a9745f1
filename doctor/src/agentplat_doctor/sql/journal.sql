-- Asks        Is each journal one gapless history, written by one owner at a time, and does the task's row say the same?
-- Parameters  low, high (tasks of this range of ids), soon (a minute from now)
-- How         One scan adds each journal up. Those that are not of the plainest kind (submitted, claimed once, known
--             events only) are then looked at event by event; in a healthy database these are tasks that waited, were
--             handed on or were cancelled. What beginning and end hold goes into a checksum first (on SQLite it is compared as
--             it was written), and is read only where that differs. SQLite has no index for a FULL JOIN, and would compare
--             each task with each other.
WITH summary AS MATERIALIZED (
    SELECT task_id,
           count(*) AS events,
           max(seq) AS last_seq,
           max(fence) AS fence,
           min(seq) FILTER (WHERE kind = 'task_finished') AS end_seq,
           max(CASE
               WHEN seq = 1 THEN CASE WHEN kind = 'task_submitted' AND fence = 0 AND at < :soon THEN 0 ELSE 1 END
               WHEN seq = 2 THEN CASE WHEN kind = 'task_claimed' AND fence = 1 AND content -> 'fence' = '1' AND at < :soon THEN 0 ELSE 1 END
               WHEN seq > 2 AND fence = 1 AND at < :soon AND kind IN (
                   'block_started', 'block_finished', 'block_failed', 'block_stopping', 'block_cancelled', 'step_started',
                   'step_skipped', 'step_refused', 'wait_started', 'step_succeeded', 'step_failed',
                   'step_cancel_requested', 'step_cancelled', 'retry_scheduled', 'timer_fired', 'signal_received',
                   'block_expanded', 'block_caught', 'block_ending', 'event_emitted', 'approval_answered', 'step_given_up',
                   'task_finished'
               ) THEN 0
               ELSE 1
           END) AS unusual,
           bit_xor(CASE                                                                                -- postgresql
               WHEN seq = 1                                                                            -- postgresql
               THEN jsonb_hash_extended(content -> 'input', 0) # hashtextextended(content ->> 'type', 0) -- postgresql
               WHEN kind = 'task_finished'                                                             -- postgresql
               THEN jsonb_hash_extended(content -> 'output', 1) # jsonb_hash_extended(content -> 'failure', 2) -- postgresql
                    # hashtextextended(content ->> 'status', 1)                                        -- postgresql
           END) AS checksum,                                                                           -- postgresql
           max(CASE WHEN seq = 1 THEN content END) AS beginning,                                       -- sqlite
           max(CASE WHEN kind = 'task_finished' THEN content END) AS ending,                           -- sqlite
           -- Two counts in one sum; a cost that is unknown counts as more than any cost can be. What used nothing says nothing.
           sum(CAST(CAST(content -> 'usage' ->> 'input_tokens' AS bigint)                              -- postgresql
                    + 1000003 * CAST(content -> 'usage' ->> 'output_tokens' AS bigint) AS double precision)) -- postgresql
           sum(CAST(CAST(content ->> '$.usage.input_tokens' AS bigint)                                 -- sqlite
                    + 1000003 * CAST(content ->> '$.usage.output_tokens' AS bigint) AS double precision)) -- sqlite
               FILTER (WHERE kind IN ('step_succeeded', 'step_failed', 'step_cancelled')) AS tokens,
           sum(coalesce(CAST(CAST(content -> 'usage' ->> 'cost' AS bigint) AS double precision), 1e12)) -- postgresql
           sum(coalesce(CAST(CAST(content ->> '$.usage.cost' AS bigint) AS double precision), 1e12))   -- sqlite
               FILTER (WHERE kind IN ('step_succeeded', 'step_failed', 'step_cancelled')
                       AND content -> 'usage' IS NOT NULL) AS cost
    FROM agentplat.journal
    WHERE task_id >= :low AND task_id < :high
      AND task_id IN (SELECT value FROM json_each(:picked))                                            -- picked
    GROUP BY task_id
), judged AS (
    SELECT coalesce(t.id, s.task_id) AS id,
           t.id IS NULL AS without_task,
           s.task_id IS NULL AND t.status = 'open' AS without_journal,
           s.events <> s.last_seq AS gap,
           t.status <> 'open' AND s.task_id IS NOT NULL AND s.end_seq IS NULL AS without_end,
           t.status = 'open' AND s.end_seq IS NOT NULL AS still_open,
           s.task_id IS NOT NULL AND s.checksum IS DISTINCT FROM (                                                               -- postgresql
               jsonb_hash_extended(t.input, 0) # hashtextextended(t.type, 0)                           -- postgresql
               # CASE WHEN s.end_seq IS NULL THEN 0 ELSE                                               -- postgresql
                   jsonb_hash_extended(coalesce(t.output, 'null'), 1)                                  -- postgresql
                   # jsonb_hash_extended(coalesce(t.failure, 'null'), 2) # hashtextextended(t.status, 1) END -- postgresql
           ) AS differs,                                                                               -- postgresql
           s.task_id IS NOT NULL AND s.beginning IS DISTINCT FROM                                      -- sqlite
               '{"type":"' || t.type || '","input":' || t.input || '}' OR (s.end_seq IS NOT NULL       -- sqlite
               AND s.ending IS DISTINCT FROM '{"status":"' || t.status || '","output":' || coalesce(t.output, 'null') -- sqlite
                   || ',"failure":' || coalesce(t.failure, 'null') || '}'                              -- sqlite
           ) AS differs,                                                                               -- sqlite
           s.task_id IS NOT NULL AND (coalesce(s.tokens, 0) <> t.input_tokens + 1000003 * t.output_tokens
               OR CASE WHEN t.cost IS NULL THEN t.id IS NOT NULL AND coalesce(s.cost, 0) < 1e12
                       ELSE t.cost <> coalesce(s.cost, 0) END) AS counts_differently,
           s.fence > q.fence AS fence_behind
    FROM summary AS s
    FULL JOIN (SELECT * FROM agentplat.tasks WHERE id >= :low AND id < :high) AS t ON t.id = s.task_id -- postgresql
    LEFT JOIN agentplat.tasks AS t ON t.id = s.task_id                                                 -- sqlite
    LEFT JOIN agentplat.queue AS q ON q.task_id = s.task_id
), broken AS MATERIALIZED (
    SELECT * FROM judged
    WHERE without_task OR without_journal OR gap OR without_end OR still_open OR differs OR counts_differently
       OR fence_behind
), unusual AS (
    SELECT task_id, end_seq FROM summary WHERE unusual = 1 OR end_seq < last_seq
), told AS MATERIALIZED (
    SELECT j.task_id, j.seq, j.fence, j.kind, j.at, j.content ->> 'path' AS path, u.end_seq,
           CAST(j.content -> 'fence' AS text) AS said_fence,
           coalesce(lag(j.fence) OVER history, 0) AS fence_before,
           max(CASE WHEN j.kind = 'task_finished' THEN j.fence END) OVER (PARTITION BY j.task_id) AS end_fence,
           min(CASE WHEN j.kind IN ('cancel_requested', 'deadline_passed') THEN j.seq END)
               OVER (PARTITION BY j.task_id) AS stop_seq
    FROM unusual AS u CROSS JOIN agentplat.journal AS j
    WHERE j.task_id = u.task_id AND j.task_id >= :low AND j.task_id < :high
    WINDOW history AS (PARTITION BY j.task_id ORDER BY j.seq)
)
-- The numbers of a journal have no gaps and begin with 1.
SELECT 'journal_gap' AS code, id FROM broken WHERE gap
UNION ALL
SELECT 'journal_gap' AS code, task_id FROM told WHERE seq < 1
UNION ALL
-- A journal belongs to a task.
SELECT 'journal_without_task' AS code, id FROM broken WHERE without_task
UNION ALL
-- Durable acceptance: the task and its first event are committed together. Retention removes histories of ended tasks only.
SELECT 'task_without_journal' AS code, id FROM broken WHERE without_journal                            -- postgresql
SELECT 'task_without_journal' AS code, t.id FROM agentplat.tasks AS t                                  -- sqlite
WHERE t.status = 'open' AND t.id >= :low AND t.id < :high                                              -- sqlite
  AND t.id IN (SELECT value FROM json_each(:picked))                                                   -- picked
  AND NOT EXISTS (SELECT 1 FROM agentplat.journal AS j WHERE j.task_id = t.id)                         -- sqlite
UNION ALL
-- The first event is what was submitted, and the row shows it.
SELECT 'submission_differs' AS code, b.id FROM broken AS b
JOIN agentplat.tasks AS t ON t.id = b.id
JOIN agentplat.journal AS j ON j.task_id = b.id AND j.seq = 1 AND j.kind = 'task_submitted'
WHERE b.differs
  AND (j.content ->> 'type' IS DISTINCT FROM t.type OR j.content -> 'input' IS DISTINCT FROM t.input)  -- postgresql
  AND (j.content ->> 'type' IS DISTINCT FROM t.type OR j.content -> 'input' IS DISTINCT FROM json(t.input)) -- sqlite
UNION ALL
-- What clients read of an end is what the journal says of it.
SELECT 'end_differs' AS code, b.id FROM broken AS b
JOIN agentplat.tasks AS t ON t.id = b.id AND t.status <> 'open'
JOIN agentplat.journal AS j ON j.task_id = b.id AND j.kind = 'task_finished'
WHERE b.differs AND NOT EXISTS (
    SELECT 1 FROM agentplat.journal AS earlier
    WHERE earlier.task_id = j.task_id AND earlier.kind = 'task_finished' AND earlier.seq < j.seq
) AND (
    j.content ->> 'status' IS DISTINCT FROM t.status
    OR j.content -> 'output' IS DISTINCT FROM coalesce(t.output, 'null')                               -- postgresql
    OR j.content -> 'failure' IS DISTINCT FROM coalesce(t.failure, 'null')                             -- postgresql
    OR j.content -> 'output' IS DISTINCT FROM json(coalesce(t.output, 'null'))                         -- sqlite
    OR j.content -> 'failure' IS DISTINCT FROM json(coalesce(t.failure, 'null'))                       -- sqlite
)
UNION ALL
-- A final state is the journal's: the row cannot end without it.
SELECT 'end_not_in_journal' AS code, id FROM broken WHERE without_end
UNION ALL
-- The end and the row's final state are committed together.
SELECT 'ended_but_open' AS code, id FROM broken WHERE still_open
UNION ALL
-- Tokens and cost of a task are the sums over the outcomes of its steps; an unknown cost is unknown, never zero.
SELECT 'totals_differ' AS code, id FROM broken WHERE counts_differently
UNION ALL
-- The fence never goes back: nobody has written under one that the queue row has not reached.
SELECT 'fence_behind_journal' AS code, id FROM broken WHERE fence_behind
UNION ALL
-- The first event is always task_submitted, and there is no other.
SELECT 'journal_beginning' AS code, task_id FROM told WHERE (seq = 1) <> (kind = 'task_submitted')
UNION ALL
-- Nothing happens after the end.
SELECT 'event_after_end' AS code, task_id FROM told WHERE seq > end_seq AND kind <> 'task_finished'
UNION ALL
-- A task ends once.
SELECT 'ended_twice' AS code, task_id FROM told WHERE seq > end_seq AND kind = 'task_finished'
UNION ALL
-- One writer: whoever lost a task writes nothing after the next owner.
SELECT 'fence_decreased' AS code, task_id FROM told WHERE fence < fence_before
UNION ALL
-- A claim is written under its own fence.
SELECT 'claim_fence_differs' AS code, task_id FROM told
WHERE kind = 'task_claimed' AND said_fence IS DISTINCT FROM CAST(fence AS text)
UNION ALL
-- A fence is given once: an owner's first word under it is the claim.
SELECT 'claimed_twice' AS code, task_id FROM told WHERE kind = 'task_claimed' AND fence = fence_before
UNION ALL
-- Whoever has not claimed a task can only end it, under a fence of its own.
SELECT 'write_without_claim' AS code, task_id FROM told
WHERE fence > fence_before AND kind <> 'task_claimed' AND fence IS DISTINCT FROM end_fence
UNION ALL
-- Cancel means cancel: nothing starts after it, nor after the task's deadline, but what has to be done at the end.
SELECT 'start_after_stop' AS code, task_id FROM told
WHERE seq > stop_seq AND kind IN ('step_started', 'child_dispatched', 'wait_started', 'block_started')
  AND NOT (path LIKE '%@finally%' OR path LIKE '%@compensate%')
UNION ALL
-- What is taken over from another task comes before the first owner, and is no owner's.
SELECT 'reused_by_an_owner' AS code, task_id FROM told
WHERE kind IN ('history_reused', 'step_reused', 'step_reopened') AND fence > 0
UNION ALL
-- What was taken over from another task is not run here.
SELECT 'start_after_reuse' AS code, reused.task_id FROM told AS reused
JOIN told AS started ON started.task_id = reused.task_id AND started.path = reused.path
WHERE reused.kind = 'step_reused' AND started.kind IN ('step_started', 'child_dispatched', 'wait_started')
UNION ALL
-- Only kinds of events that this version can read.
SELECT 'unknown_event' AS code, task_id FROM told
WHERE kind NOT IN (
    'task_submitted', 'task_claimed', 'block_started', 'block_finished', 'block_failed', 'block_stopping',
    'block_cancelled', 'step_started', 'step_skipped', 'step_refused', 'wait_started', 'step_succeeded', 'step_failed',
    'step_cancel_requested', 'step_cancelled', 'retry_scheduled', 'timer_fired', 'signal_received', 'cancel_requested',
    'deadline_passed', 'block_expanded', 'block_caught', 'block_ending', 'event_emitted', 'approval_answered',
    'step_given_up', 'history_reused', 'step_reused', 'step_reopened', 'child_dispatched', 'task_finished'
)
UNION ALL
-- Only the database's clock stamps events.
SELECT 'event_from_the_future' AS code, task_id FROM told WHERE at >= :soon
