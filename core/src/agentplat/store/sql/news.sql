-- Purpose     Say what there is to look at, once somebody has written to the file.
-- Parameters  none
-- Returns     work, suspect, told: whether anybody could claim something, something that has to run alone, or find
--             something new in the inbox of a task that has an owner
-- Invariant   Only on SQLite, where that somebody wrote is all that is heard. It only looks: whoever is told looks again, and
--             what is not told was not there when the writing was over.
-- Index       ix_queue_due by its time (`fence >= 0` is always true, see due.sql), the first entries of ix_queue_suspect and
--             ix_queue_woken
SELECT
    EXISTS (SELECT 1 FROM queue WHERE ready AND fence >= 0 AND run_at <= clock_timestamp() AND NOT suspect) AS work,
    EXISTS (SELECT 1 FROM queue WHERE ready AND suspect) AS suspect,
    EXISTS (SELECT 1 FROM queue INDEXED BY ix_queue_woken WHERE worker_id IS NOT NULL AND wake) AS told
