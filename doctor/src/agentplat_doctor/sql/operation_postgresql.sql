-- Asks        Does PostgreSQL stay fit for a queue?
-- Parameters  minute_ago
-- How         Statistics views and catalogues; of our tables only whether there is a row in a DEFAULT partition.
WITH ours AS (
    SELECT c.oid, c.relname, c.relkind, c.reltuples, c.relfrozenxid, c.reloptions, s.n_dead_tup,
           coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
                     WHERE option_name = 'autovacuum_enabled'), 'true') AS enabled,
           coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
                     WHERE option_name = 'autovacuum_vacuum_threshold'),
                    current_setting('autovacuum_vacuum_threshold'))::double precision
           + coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
                       WHERE option_name = 'autovacuum_vacuum_scale_factor'),
                      current_setting('autovacuum_vacuum_scale_factor'))::double precision
             * greatest(c.reltuples, 0) AS threshold
    FROM pg_class AS c
    JOIN pg_stat_all_tables AS s ON s.relid = c.oid
    WHERE c.relnamespace = 'agentplat'::regnamespace AND c.relkind = 'r'
)
, months AS (
    SELECT to_char(month, 'YYYY_MM') AS name,
           (lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid AS first
    FROM (SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + n * interval '1 month' AS month
          FROM generate_series(0, 1) AS n) AS coming
), bounds AS (
    SELECT i.inhparent AS parent, coalesce(bound[2], repeat('0', 32))::uuid AS low, bound[3]::uuid AS high
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid,
    regexp_match(pg_get_expr(c.relpartbound, c.oid),
                 'FROM \((MINVALUE|''([0-9a-f-]+)'')\) TO \(''([0-9a-f-]+)''\)') AS bound
    WHERE i.inhparent IN ('agentplat.journal'::regclass, 'agentplat.calls'::regclass)
)
-- No transaction stays open over a call: as long as one does, dead versions of queue rows cannot be removed.
SELECT 'transaction_pins_rows' AS code, 'process ' || pid AS id FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> 'agentplat-doctor'
  AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND xact_start < :minute_ago
UNION ALL
SELECT 'transaction_pins_rows', 'prepared transaction ' || gid FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < :minute_ago
UNION ALL
SELECT 'transaction_pins_rows', 'replication slot ' || slot_name FROM pg_replication_slots
WHERE greatest(age(xmin), age(catalog_xmin)) > 1000000
UNION ALL
-- The hot tables stay small: every claim pays for their dead rows.
SELECT 'table_bloated', relname FROM ours
WHERE relname IN ('queue', 'workers') AND n_dead_tup > 10000 AND n_dead_tup > 5 * greatest(reltuples, 0)
UNION ALL
-- Autovacuum comes when a table has so many dead rows, not long after.
SELECT 'vacuum_behind', relname FROM ours
WHERE relname NOT IN ('queue', 'workers') AND n_dead_tup > 10000 AND n_dead_tup > 3 * threshold
UNION ALL
-- Autovacuum is on.
SELECT 'autovacuum_off', relname FROM ours WHERE enabled::boolean IS FALSE OR current_setting('autovacuum') = 'off'
UNION ALL
-- No table comes near the end of its transaction numbers.
SELECT 'wraparound_near', relname FROM ours WHERE age(relfrozenxid) > 1000000000
UNION ALL
-- Indexes are whole: one that is not, is written and never used.
SELECT 'index_invalid', i.indexrelid::regclass::text FROM pg_index AS i
JOIN ours AS o ON o.oid = i.indrelid
WHERE NOT i.indisvalid
UNION ALL
-- A commit that was acknowledged is on the disk.
SELECT 'commits_may_be_lost', name FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
UNION ALL
-- History has a partition for this month and the next one.
SELECT 'partition_missing', divided || '_' || m.name FROM unnest(ARRAY['journal', 'calls']) AS divided, months AS m
WHERE NOT EXISTS (
    SELECT FROM bounds AS b
    WHERE b.parent = ('agentplat.' || divided)::regclass AND b.low <= m.first AND m.first < b.high
)
UNION ALL
-- A row that came before its partition is moved there by upkeep.
SELECT 'partition_bypassed', 'journal_default' WHERE EXISTS (SELECT FROM agentplat.journal_default)
UNION ALL
SELECT 'partition_bypassed', 'calls_default' WHERE EXISTS (SELECT FROM agentplat.calls_default)
