-- Who closed a reported finding, as what, and why. Beside saga_log, which can only tell it of an order of ours: an orphaned
-- charge has none. A finding may be reported again and closed again, so it has any number of these.
CREATE TABLE "reconciliation_closings" (
    "id" BIGSERIAL NOT NULL,
    "finding_id" BIGINT NOT NULL,
    "action" TEXT NOT NULL,
    "operator" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reconciliation_closings_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "reconciliation_closings_finding_id_fkey" FOREIGN KEY ("finding_id")
        REFERENCES "reconciliation_findings"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "reconciliation_closings_action_check" CHECK ("action" IN ('refunded', 'cancelled')),
    CONSTRAINT "reconciliation_closings_operator_check" CHECK (length("operator") BETWEEN 1 AND 128),
    CONSTRAINT "reconciliation_closings_reason_check" CHECK (length("reason") BETWEEN 1 AND 200)
);
CREATE INDEX "reconciliation_closings_finding_idx" ON "reconciliation_closings"("finding_id", "id");

CREATE FUNCTION "reconciliation_closings_refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'closings of findings are append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER "reconciliation_closings_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "reconciliation_closings"
    FOR EACH STATEMENT EXECUTE FUNCTION "reconciliation_closings_refuse_change"();

-- Default privileges (deploy/postgres/roles.sql) let the app change rows; not these.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON "reconciliation_closings" FROM order_saga_app;
    END IF;
END $$;
