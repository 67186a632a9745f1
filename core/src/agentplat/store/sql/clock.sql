-- Purpose     Say what time it is.
-- Parameters  none
-- Returns     now
-- Invariant   none
-- Index       none
SELECT clock_timestamp() AS now
