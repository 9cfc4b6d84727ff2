-- Which destinations a relay has had configured, and when last: only what these have not taken yet keeps old events. Apart
-- from relay_cursors, which says how far a destination was served, and not whether anybody still wants to.
CREATE TABLE "relay_destinations" (
    "destination" TEXT NOT NULL,
    "configured_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "relay_destinations_pkey" PRIMARY KEY ("destination")
) WITH (fillfactor = 50);
INSERT INTO "relay_destinations" ("destination") SELECT DISTINCT "destination" FROM "relay_cursors";

-- Retention empties the table from its old end. By default a table is vacuumed when a fifth of it is dead, which here would
-- be days of events that whoever reads the feed from its start must step over.
ALTER TABLE "outbox" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
ALTER TABLE "idempotency_keys" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
