-- Asks        Which tasks have to be looked at? One row for a slice: their ids, as JSON, by the question that looks at them.
-- Parameters  low, high (tasks of this range of ids), soon (a minute from now)
-- How         SQLite sorts what it groups by path, and reads a table anew for each question. So one scan, in the order of the
--             index, adds each journal up, and leaves out who cannot be what a question is about: a task that was claimed once
--             and ended, of known events only, whose row and journal were written alike, with one step after the other, each
--             started once and succeeded once. `letters` has one for each event, in their order: S submitted, C claimed,
--             s started, o succeeded, F finished, d dispatched a child, b of no concern to steps, p of their concern, x any other.
--             `started` and `succeeded` have an attempt, a try and a path for each step; an outcome has no try, and says its
--             attempt twice. `calls` is two counts in one sum: of all, and, from the 33rd bit on, of those that are not made
--             by such a step. A row or a call that belongs to no journal is in no sum, and `complete` is false; what is no
--             JSON makes the statement fail. Then everything in the slice is looked at.
WITH judged AS (
    SELECT s.task_id AS id, t.id AS row_id,
           coalesce(
               s.letters GLOB 'SC*F' AND s.letters NOT GLOB '??*[SCFdx]*?' AND s.events = s.last_seq
               AND s.beginning = '{"type":"' || t.type || '","input":' || t.input || '}'
               AND s.ending = '{"status":"' || t.status || '","output":' || coalesce(t.output, 'null')
                   || ',"failure":' || coalesce(t.failure, 'null') || '}'
               AND coalesce(s.tokens, 0) = t.input_tokens + 1000003 * t.output_tokens
               AND CASE WHEN t.cost IS NULL THEN s.cost >= 1e12 ELSE t.cost = coalesce(s.cost, 0) END,
           false) AS plain_journal,
           coalesce(
               replace(replace(s.letters, 'b', ''), 'so', '') = 'SCF' AND s.started IS s.succeeded
               -- Each path once, and each attempt and try the first: one and two steps need no list for that.
               AND CASE length(s.letters) - length(replace(s.letters, 's', ''))
                   WHEN 0 THEN true
                   WHEN 1 THEN substr(s.started, 1, 6) = '[1,1,"'
                   WHEN 2 THEN substr(s.started, 1, 6) = '[1,1,"' AND instr(s.started, '],[1,1,"') > 0
                       AND substr(s.started, 1, length(s.started) / 2) <> substr(s.started, length(s.started) / 2 + 2)
                   ELSE (
                       SELECT count(DISTINCT value) = count(*) AND min(substr(value, 1, 6) = '[1,1,"')
                       FROM json_each('[' || s.started || ']')
                   )
               END,
           false) AS plain_steps,
           coalesce(instr(s.letters, 'd') = 0 AND t.parent_id IS NULL, false) AS no_family,
           (
               SELECT sum(CASE WHEN c.fence = 1 AND instr(s.started, '[1,1,' || json_quote(c.path) || ']') > 0 THEN 1
                               ELSE 4294967297 END)
               FROM calls AS c WHERE c.task_id = s.task_id
           ) AS calls
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
               group_concat(json_extract(content, '$.attempt', '$.try_number', '$.path'), ',')
                   FILTER (WHERE kind = 'step_started') AS started,
               group_concat(json_extract(content, '$.attempt', '$.attempt', '$.path'), ',')
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
    LIMIT -1  -- or each column would be computed wherever it is named
)
SELECT json_group_array(id) FILTER (
           WHERE NOT plain_journal OR EXISTS (SELECT 1 FROM queue AS q WHERE q.task_id = id)
       ) AS journal,
       json_group_array(id) FILTER (WHERE NOT plain_steps OR calls >> 32 > 0) AS steps,
       json_group_array(id) FILTER (WHERE NOT no_family) AS children,
       count(row_id) = (SELECT count(*) FROM tasks WHERE id >= :low AND id < :high)
           AND coalesce(sum(calls & 4294967295), 0) = (
               SELECT count(*) FROM calls WHERE task_id >= :low AND task_id < :high
           ) AS complete
FROM judged
