-- Purpose     Say when this transaction began: the time of what it writes without another one.
-- Parameters  none
-- Returns     now
-- Invariant   none
-- Index       none
SELECT now() AS now                                                            -- postgresql
SELECT clock_timestamp() AS now                                                -- sqlite
