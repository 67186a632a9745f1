-- Asks        Is the file of the database sound?
-- Parameters  none
-- SQLite finds its own pages in order. What it says of constraints is the business of tasks.sql and queue.sql.
SELECT 'file_damaged' AS code, quick_check AS id FROM pragma_quick_check(5)
WHERE quick_check <> 'ok' AND quick_check NOT LIKE 'CHECK constraint failed%'
