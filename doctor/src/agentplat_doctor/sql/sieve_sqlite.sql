-- Asks        Which tasks have to be looked at? A row for each slice: the ids, as JSON, by the question that looks at them.
-- Parameters  low, high (tasks of this range of ids), soon (a minute from now)
-- How         SQLite sorts what it groups by path, and reads a table anew for each question. So one scan, in the order of the
--             index, adds each journal up, and leaves out who cannot be what a question is about: a task that was claimed once
--             and ended, of known events only, whose row and journal were written alike, with one step after the other, each
--             started once and succeeded once. `letters` has one for each event, in their order: S submitted, C claimed,
--             s started, o succeeded, F finished, d dispatched a child, b of no concern to steps, p of their concern, x any other.
--             `started` and `succeeded` have a path, an attempt and a try for each step; an outcome has no try, and says its
--             attempt twice. What is no JSON makes the statement fail: then everything in the slice is looked at.
WITH judged AS (
    SELECT s.task_id AS id,
           t.id IS NOT NULL
               AND s.letters GLOB 'SC*F' AND s.letters NOT GLOB '??*[SCFdx]*?' AND s.events = s.last_seq
               AND s.beginning = '{"type":"' || t.type || '","input":' || t.input || '}'
               AND s.ending = '{"status":"' || t.status || '","output":' || coalesce(t.output, 'null')
                   || ',"failure":' || coalesce(t.failure, 'null') || '}'
               AND coalesce(s.tokens, 0) = t.input_tokens + 1000003 * t.output_tokens
               AND CASE WHEN t.cost IS NULL THEN s.cost >= 1e12 ELSE t.cost = coalesce(s.cost, 0) END
               AS plain_journal,
           replace(replace(s.letters, 'b', ''), 'so', '') = 'SCF' AND s.started IS s.succeeded
               AND (
                   SELECT count(DISTINCT value) = count(*) AND coalesce(min(substr(value, -5) = ',1,1]'), true)
                   FROM json_each('[' || s.started || ']')
               ) AND NOT EXISTS (
                   SELECT 1 FROM calls AS c
                   WHERE c.task_id = s.task_id
                     AND (c.fence <> 1 OR coalesce(instr(s.started, '[' || json_quote(c.path) || ',1,1]'), 0) = 0)
               ) AS plain_steps,
           instr(s.letters, 'd') = 0 AND t.parent_id IS NULL AS no_family
    FROM (
        SELECT task_id, count(*) AS events, max(seq) AS last_seq,
               max(content) FILTER (WHERE seq = 1) AS beginning,
               max(content) FILTER (WHERE kind = 'task_finished') AS ending,
               group_concat(CASE
                   WHEN fence = 1 AND at < :soon THEN CASE kind
                       WHEN 'step_started' THEN 's'
                       WHEN 'step_succeeded' THEN 'o'
                       WHEN 'block_started' THEN 'b'
                       WHEN 'block_finished' THEN 'b'
                       WHEN 'task_finished' THEN 'F'
                       WHEN 'task_claimed' THEN CASE WHEN seq = 2 AND content -> 'fence' = '1' THEN 'C' ELSE 'x' END
                       WHEN 'child_dispatched' THEN 'd'
                       ELSE CASE
                           WHEN kind IN (
                               'block_failed', 'block_stopping', 'block_cancelled', 'step_cancel_requested', 'signal_received',
                               'block_expanded', 'block_caught', 'block_ending', 'event_emitted', 'approval_answered',
                               'step_given_up'
                           ) THEN 'b'
                           WHEN kind IN (
                               'step_skipped', 'step_refused', 'wait_started', 'step_failed', 'step_cancelled',
                               'retry_scheduled', 'timer_fired'
                           ) THEN 'p'
                           ELSE 'x'
                       END
                   END
                   WHEN kind = 'child_dispatched' THEN 'd'
                   WHEN seq = 1 AND kind = 'task_submitted' AND fence = 0 AND at < :soon THEN 'S'
                   ELSE 'x'
               END, '') AS letters,
               group_concat(json_extract(content, '$.path', '$.attempt', '$.try_number'), ',')
                   FILTER (WHERE kind = 'step_started') AS started,
               group_concat(json_extract(content, '$.path', '$.attempt', '$.attempt'), ',')
                   FILTER (WHERE kind = 'step_succeeded') AS succeeded,
               -- As in journal.sql.
               sum(CAST(CAST(content ->> '$.usage.input_tokens' AS bigint)
                        + 1000003 * CAST(content ->> '$.usage.output_tokens' AS bigint) AS double precision))
                   FILTER (WHERE kind = 'step_succeeded') AS tokens,
               sum(coalesce(CAST(CAST(content ->> '$.usage.cost' AS bigint) AS double precision), 1e12))
                   FILTER (WHERE kind = 'step_succeeded' AND content -> 'usage' IS NOT NULL) AS cost
        FROM journal
        WHERE task_id >= :low AND task_id < :high
        GROUP BY task_id
    ) AS s
    LEFT JOIN tasks AS t ON t.id = s.task_id
), sieved AS (
    SELECT id, NOT coalesce(plain_journal, false) AS journal, NOT coalesce(plain_steps, false) AS steps,
           NOT coalesce(no_family, false) AS children
    FROM judged
    WHERE NOT coalesce(plain_journal AND plain_steps AND no_family, false)
    UNION ALL
    -- Those without a journal are in no sum.
    SELECT t.id, true, false, true FROM tasks AS t
    WHERE t.id >= :low AND t.id < :high AND (t.status = 'open' OR t.parent_id IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.task_id = t.id)
    UNION ALL
    SELECT task_id, true, false, false FROM queue WHERE task_id >= :low AND task_id < :high
    UNION ALL
    SELECT c.task_id, false, true, false FROM (SELECT DISTINCT task_id FROM calls WHERE task_id >= :low AND task_id < :high) AS c
    WHERE NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.task_id = c.task_id)
)
SELECT json_group_array(id) FILTER (WHERE journal) AS journal,
       json_group_array(id) FILTER (WHERE steps) AS steps,
       json_group_array(id) FILTER (WHERE children) AS children
FROM sieved
