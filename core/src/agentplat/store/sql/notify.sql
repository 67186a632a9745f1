-- Purpose     Tell other processes that there may be something new.
-- Parameters  channel, message
-- Returns     nothing of use
-- Invariant   A transaction of its own, behind the one that it is about: within that one it would make all writers queue for
--             the one lock of all notifications. It is not waited for until it is on the disk: nothing depends on it.
-- Index       none
SELECT set_config('synchronous_commit', 'off', true), pg_notify(:channel, :message)
