-- Purpose     Give a worker tasks of one queue that nobody has, where there is something to choose: tenant by tenant, each
--             as many as its weight, then by priority and age, and under every limit.
-- Parameters  worker_id, claim_id (random, new for each claim), queue, limit, since (where to begin: nothing claimable is
--             older, as far as this process knows), slow, each (seconds, of a claim and for each task)
-- Returns     took (seconds); of a claim that took longer than that oldest: nothing claimable of the queue was due before it,
--             so far as the first 500 tasks of all queues say
-- Invariant   Only on PostgreSQL, behind take_turn.sql, whose locks are older than this statement's view. Live claims and
--             starts are counted here, and nowhere kept: what is not running any more counts no more, however it ended.
--             A limit that is seen without that lock lets nothing through. Otherwise as for claim.sql.
--
--             Tenants stand in a circle, in the order of their names. The walk begins with the one whose turn it is, for
--             what remains of it, and ends there, with a full turn; nobody is walked to who is not needed. A turn is the
--             tenant's weight; where they are so few that all turns together are not enough, several turns at once.
--             OFFSET 0 keeps the planner from writing the counts into every place that uses them, and from reading all limits
--             of a tenant to join them, which it likes as long as they are few: the plan stays.
--             Of a tenant whose tasks have keys as many as are wanted are looked at, and 500 where a limit holds some of
--             these back. If it holds back so many that there may be others behind, the tenant is asked key by key. Only
--             the limits of keys that were seen are counted: a tenant may have many.
--             What was claimed stays in the index until dead rows can be removed. `since` spares a claim the way to each of
--             these rows: the index itself says that they are too old. See `claims.Oldest`.
-- Index       ix_queue_claim: one descent for each tenant, and for each key where it comes to that; ix_queue_keyed;
--             ix_queue_live for the counts. The array keeps the update on the primary key. ix_queue_due for the oldest, as in
--             due.sql: asked for a queue, the planner would rather sort all that waits in it.
WITH RECURSIVE own AS MATERIALIZED (
    SELECT id FROM agentplat.workers
    WHERE id = :worker_id AND lease_until > clock_timestamp()
    FOR KEY SHARE
), turn AS MATERIALIZED (
    SELECT clock_timestamp() AS now, t.tenant_id, t.remaining, (
               SELECT count(*) FROM agentplat.turns AS a WHERE a.queue = '' AND a.claim_id = :claim_id
           ) AS may_count
    FROM own CROSS JOIN agentplat.turns AS t WHERE t.queue = :queue
), walk AS (
    SELECT t.tenant_id, 0 AS place, false AS around FROM turn AS t
    UNION ALL
    SELECT n.tenant_id, w.place + 1, w.around OR n.around
    FROM walk AS w CROSS JOIN turn AS t CROSS JOIN LATERAL (
        (
            SELECT q.tenant_id, false AS around FROM agentplat.queue AS q
            WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.run_at >= :since AND q.tenant_id > w.tenant_id
            ORDER BY q.queue, q.tenant_id LIMIT 1
        ) UNION ALL (
            SELECT q.tenant_id, true FROM agentplat.queue AS q
            WHERE q.queue = :queue AND q.ready AND NOT q.suspect AND q.run_at >= :since AND NOT w.around
            ORDER BY q.queue, q.tenant_id LIMIT 1
        ) LIMIT 1
    ) AS n
    WHERE NOT (w.around OR n.around) OR n.tenant_id <= t.tenant_id
), sizes AS MATERIALIZED (
    SELECT greatest(ceil(:limit / sum(coalesce(l.weight, 1))::numeric), 1)::integer AS turns
    FROM (SELECT w.tenant_id FROM walk AS w WHERE w.place > 0 LIMIT :limit) AS near
    LEFT JOIN LATERAL (
        SELECT a.weight FROM agentplat.limits AS a WHERE a.tenant_id = near.tenant_id AND a.key = '' OFFSET 0
    ) AS l ON true
), served AS MATERIALIZED (
    SELECT w.place, w.tenant_id, m.quota, row_number() OVER () AS number, c.task_id, c.concurrency_key
    FROM walk AS w CROSS JOIN turn AS t CROSS JOIN sizes AS s
    CROSS JOIN LATERAL (
        SELECT CASE WHEN w.place > 0 AND w.tenant_id = t.tenant_id THEN t.remaining ELSE 0 END AS had,
               CASE WHEN w.place = 0 THEN t.remaining ELSE s.turns * coalesce(l.weight, 1) END AS quota,
               CASE WHEN l.at_once IS NOT NULL OR l.starts IS NOT NULL THEN t.may_count * greatest(least(
                   l.at_once - (SELECT count(*) FROM agentplat.queue AS r WHERE r.worker_id IS NOT NULL AND r.fence > 0 AND r.tenant_id = w.tenant_id),
                   l.starts - (SELECT coalesce(sum(b.number), 0) FROM agentplat.starts AS b
                               WHERE b.tenant_id = w.tenant_id AND b.key = '' AND b.at > t.now - make_interval(secs => l.seconds))
               ), 0) ELSE 2147483647 END AS free
        FROM (SELECT 1) AS one LEFT JOIN agentplat.limits AS l ON l.tenant_id = w.tenant_id AND l.key = ''
        OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (SELECT p.had, p.quota, least(p.had + p.quota, p.free, p.had + :limit) AS most OFFSET 0) AS m
    CROSS JOIN LATERAL (
        WITH RECURSIVE first AS MATERIALIZED (
            SELECT q.task_id, q.priority, q.run_at, q.concurrency_key FROM agentplat.queue AS q
            WHERE q.queue = :queue AND q.tenant_id = w.tenant_id AND q.concurrency_key <> '' AND q.ready AND NOT q.suspect
              AND q.run_at >= :since AND q.run_at <= t.now
            ORDER BY q.priority DESC, q.run_at, q.task_id
            LIMIT m.most
        ), near AS MATERIALIZED (
            SELECT l.key, t.may_count * greatest(least(
                       l.at_once - (SELECT count(*) FROM agentplat.queue AS r
                                    WHERE r.worker_id IS NOT NULL AND r.fence > 0 AND r.tenant_id = l.tenant_id AND r.concurrency_key = l.key),
                       l.starts - (SELECT coalesce(sum(b.number), 0) FROM agentplat.starts AS b
                                   WHERE b.tenant_id = l.tenant_id AND b.key = l.key AND b.at > t.now - make_interval(secs => l.seconds))
                   ), 0) AS free
            FROM (SELECT DISTINCT f.concurrency_key FROM first AS f) AS k
            CROSS JOIN LATERAL (
                SELECT * FROM agentplat.limits AS a WHERE a.tenant_id = w.tenant_id AND a.key = k.concurrency_key OFFSET 0
            ) AS l
        ), more AS MATERIALIZED (
            SELECT EXISTS (SELECT 1 FROM near AS b WHERE b.free < m.most) AS is_needed
        ), head AS MATERIALIZED (
            SELECT f.* FROM first AS f WHERE NOT (SELECT is_needed FROM more)
            UNION ALL (
            SELECT q.task_id, q.priority, q.run_at, q.concurrency_key FROM agentplat.queue AS q
            WHERE q.queue = :queue AND q.tenant_id = w.tenant_id AND q.concurrency_key <> '' AND q.ready AND NOT q.suspect
              AND q.run_at >= :since AND q.run_at <= t.now
            ORDER BY q.priority DESC, q.run_at, q.task_id
            LIMIT CASE WHEN (SELECT is_needed FROM more) THEN greatest(500, m.most) ELSE 0 END)
        ), depth AS MATERIALIZED (
            SELECT count(*) >= greatest(500, m.most) AND (SELECT is_needed FROM more) AS is_not_enough FROM head
        ), lanes AS (
            SELECT (
                SELECT q.concurrency_key FROM agentplat.queue AS q
                WHERE q.queue = :queue AND q.tenant_id = w.tenant_id AND q.concurrency_key > '' AND q.ready AND NOT q.suspect
                  AND q.run_at >= :since
                ORDER BY q.queue, q.tenant_id, q.concurrency_key LIMIT 1
            ) AS key
            FROM depth WHERE is_not_enough
            UNION ALL
            SELECT (
                SELECT q.concurrency_key FROM agentplat.queue AS q
                WHERE q.queue = :queue AND q.tenant_id = w.tenant_id AND q.concurrency_key > a.key AND q.ready AND NOT q.suspect
                  AND q.run_at >= :since
                ORDER BY q.queue, q.tenant_id, q.concurrency_key LIMIT 1
            )
            FROM lanes AS a WHERE a.key IS NOT NULL
        ), bounds AS MATERIALIZED (
            SELECT b.key, b.free FROM near AS b WHERE NOT (SELECT is_needed FROM more)
            UNION ALL
            SELECT l.key, t.may_count * greatest(least(
                       l.at_once - (SELECT count(*) FROM agentplat.queue AS r
                                    WHERE r.worker_id IS NOT NULL AND r.fence > 0 AND r.tenant_id = l.tenant_id AND r.concurrency_key = l.key),
                       l.starts - (SELECT coalesce(sum(b.number), 0) FROM agentplat.starts AS b
                                   WHERE b.tenant_id = l.tenant_id AND b.key = l.key AND b.at > t.now - make_interval(secs => l.seconds))
                   ), 0) AS free
            FROM (
                SELECT h.concurrency_key AS key FROM head AS h WHERE NOT (SELECT is_not_enough FROM depth)
                UNION SELECT a.key FROM lanes AS a
            ) AS k
            CROSS JOIN LATERAL (
                SELECT * FROM agentplat.limits AS a WHERE a.tenant_id = w.tenant_id AND a.key = k.key OFFSET 0
            ) AS l
            WHERE (SELECT is_needed FROM more)
        )
        SELECT e.task_id, e.concurrency_key FROM (
            (
                SELECT q.task_id, q.priority, q.run_at, q.concurrency_key FROM agentplat.queue AS q
                WHERE q.queue = :queue AND q.tenant_id = w.tenant_id AND q.concurrency_key = '' AND q.ready AND NOT q.suspect
                  AND q.run_at >= :since AND q.run_at <= t.now
                ORDER BY q.priority DESC, q.run_at, q.task_id LIMIT m.most
            ) UNION ALL (
                SELECT h.task_id, h.priority, h.run_at, h.concurrency_key FROM (
                    SELECT head.*, row_number() OVER (
                        PARTITION BY head.concurrency_key ORDER BY head.priority DESC, head.run_at, head.task_id
                    ) AS place
                    FROM head WHERE NOT (SELECT is_not_enough FROM depth)
                ) AS h LEFT JOIN bounds AS b ON b.key = h.concurrency_key
                WHERE h.place <= coalesce(b.free, h.place)
            ) UNION ALL (
                SELECT r.task_id, r.priority, r.run_at, r.concurrency_key
                FROM lanes AS a LEFT JOIN bounds AS b ON b.key = a.key
                CROSS JOIN LATERAL (
                    SELECT q.task_id, q.priority, q.run_at, q.concurrency_key FROM agentplat.queue AS q
                    WHERE q.queue = :queue AND q.tenant_id = w.tenant_id AND q.concurrency_key = a.key AND q.ready AND NOT q.suspect
                      AND q.run_at >= :since AND q.run_at <= t.now
                    ORDER BY q.priority DESC, q.run_at, q.task_id LIMIT least(b.free, m.most)
                ) AS r
            )
        ) AS e
        ORDER BY e.priority DESC, e.run_at, e.task_id
        OFFSET m.had LIMIT m.most - m.had
    ) AS c
    WHERE m.most > m.had
    LIMIT :limit
), picked AS MATERIALIZED (
    SELECT q.task_id, q.tenant_id, q.concurrency_key FROM agentplat.queue AS q
    WHERE q.task_id = ANY (ARRAY (SELECT task_id FROM served)) AND q.ready AND NOT q.suspect
    FOR UPDATE SKIP LOCKED
), passed AS (
    UPDATE agentplat.turns SET tenant_id = l.tenant_id, remaining = l.remaining
    FROM (
        SELECT e.tenant_id, greatest(e.quota - (SELECT count(*) FROM served AS s WHERE s.place = e.place), 0) AS remaining
        FROM served AS e ORDER BY e.number DESC LIMIT 1
    ) AS l
    WHERE queue = :queue
), claimed AS (
    UPDATE agentplat.queue
    SET ready = false, worker_id = :worker_id, claim_id = :claim_id, fence = fence + 1, under_way = false, reason = NULL
    WHERE task_id = ANY (ARRAY (SELECT task_id FROM picked))
    RETURNING 1
), timed AS (
    SELECT n.number, extract(epoch FROM CASE WHEN n.number >= 0 THEN clock_timestamp() - statement_timestamp() END)::float AS took
    FROM (SELECT count(*) AS number FROM claimed) AS n
)
SELECT took, CASE WHEN took >= :slow::float + number * :each::float THEN least(statement_timestamp(), (
    SELECT coalesce(min(f.run_at) FILTER (WHERE f.queue = :queue), CASE WHEN count(*) = 500 THEN max(f.run_at) END)
    FROM (
        SELECT q.queue, q.run_at FROM agentplat.queue AS q
        WHERE q.ready AND q.fence >= 0 AND q.run_at >= :since AND q.run_at <= statement_timestamp() ORDER BY q.run_at LIMIT 500
    ) AS f
)) END AS oldest
FROM timed
