-- Purpose     Keep workflow documents.
-- Parameters  for each document and tenant: hash, tenant_id, name, version, document
-- Returns     nothing
-- Invariant   A document that is there is not written again: it is named by its own hash.
-- Index       primary key
INSERT INTO agentplat.definitions (hash, tenant_id, name, version, document, created_at)
SELECT d.hash, d.tenant_id, d.name, d.version, d.document::jsonb, now()        -- postgresql
FROM unnest(:hash::text[], :tenant_id::text[], :name::text[], :version::text[], :document::text[]) -- postgresql
    AS d (hash, tenant_id, name, version, document)                            -- postgresql
VALUES (:hash, :tenant_id, :name, :version, :document, clock_timestamp())      -- sqlite
ON CONFLICT DO NOTHING
