-- Purpose     Read the events of one task between two numbers.
-- Parameters  task_id, first_seq, last_seq
-- Returns     seq, fence, kind, content, at
-- Invariant   none: it finds out whether a write whose acknowledgement was lost has been kept
-- Index       pk_journal
SELECT seq, fence, kind, content, at FROM agentplat.journal
WHERE task_id = :task_id AND seq BETWEEN :first_seq AND :last_seq
ORDER BY seq
