-- Purpose     Remove from inboxes what was told to tasks that ended at that moment.
-- Parameters  none
-- Returns     nothing
-- Invariant   A queue row is there before anything is told, and gone for good when its task has ended: whatever has none is
--             read by nobody.
-- Index       all of the inbox, which holds only what is unread; queue by its primary key
DELETE FROM agentplat.inbox
WHERE (SELECT q.task_id FROM agentplat.queue AS q WHERE q.task_id = inbox.task_id ORDER BY q.task_id LIMIT 1) IS NULL
