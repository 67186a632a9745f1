-- Asks        Does PostgreSQL stay fit for a queue?
-- Parameters  minute_ago
-- How         Statistics views and catalogues; nothing here reads a table of ours.
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
