-- Purpose     Say who is served next.
-- Parameters  queue, tenant_id, remaining
-- Returns     nothing
-- Invariant   In the transaction of take_turn.sql. On PostgreSQL claim_fairly.sql does it on its own.
-- Index       primary key
UPDATE agentplat.turns SET tenant_id = :tenant_id, remaining = :remaining WHERE queue = :queue
