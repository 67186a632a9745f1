-- Purpose     Read the journals of the tasks that a claim gave, of a long one its beginning.
-- Parameters  worker_id, claim_id, most (events of each)
-- Returns     task_id, seq, at, kind, content; in the order of each journal
-- Invariant   Is sent behind the claim: its view is younger than the claim, so it sees all that an earlier owner wrote.
-- Index       ix_queue_worker, then pk_journal for each task: OFFSET keeps it so, whatever the statistics say
SELECT j.task_id, j.seq, j.at, j.kind, j.content
FROM (SELECT q.task_id FROM agentplat.queue AS q WHERE q.worker_id = :worker_id AND q.claim_id = :claim_id) AS c
CROSS JOIN LATERAL (                                                           -- postgresql
    SELECT * FROM agentplat.journal AS l WHERE l.task_id = c.task_id AND l.seq <= :most ORDER BY l.seq OFFSET 0 -- postgresql
) AS j                                                                         -- postgresql
JOIN agentplat.journal AS j ON j.task_id = c.task_id AND j.seq <= :most        -- sqlite
ORDER BY j.task_id, j.seq
