-- Purpose     Find out whether a claim has to choose: tasks of several tenants wait, or of one with keys or a limit.
-- Parameters  queue
-- Returns     chooses; suspects, whether a suspect waits that is under a limit
-- Invariant   Only on SQLite, where nobody comes between it and the claim. On PostgreSQL the claims find out themselves.
-- Index       ix_queue_claim, the first and the last entry of the queue; limits is short
SELECT
    coalesce(
        (SELECT q.tenant_id FROM agentplat.queue AS q WHERE q.queue = :queue AND q.ready AND NOT q.suspect
         ORDER BY q.tenant_id LIMIT 1)
        <> (SELECT q.tenant_id FROM agentplat.queue AS q WHERE q.queue = :queue AND q.ready AND NOT q.suspect
            ORDER BY q.tenant_id DESC LIMIT 1),
        false
    )
    OR EXISTS (SELECT 1 FROM agentplat.queue AS q WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.concurrency_key <> '')
    OR EXISTS (
        SELECT 1 FROM agentplat.limits AS l
        WHERE l.key = '' AND (l.at_once IS NOT NULL OR l.starts IS NOT NULL) AND l.tenant_id = (
            SELECT q.tenant_id FROM agentplat.queue AS q WHERE q.queue = :queue AND q.ready AND NOT q.suspect
            ORDER BY q.tenant_id LIMIT 1)
    ) AS chooses,
    EXISTS (
        SELECT 1 FROM agentplat.queue AS q
        JOIN agentplat.limits AS l ON l.tenant_id = q.tenant_id AND l.key IN ('', q.concurrency_key)
        WHERE q.queue = :queue AND q.ready AND q.suspect AND (l.at_once IS NOT NULL OR l.starts IS NOT NULL)
    ) AS suspects
