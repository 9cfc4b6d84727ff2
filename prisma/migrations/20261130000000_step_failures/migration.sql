-- What became of the attempts that led to nothing, and how often a step was parked: Temporal forgets it with the history. Rows that look
-- alike and are close together are one, with a count: an undo that fails for a month adds to the same row.
CREATE TABLE "step_failures" (
    "id" BIGSERIAL NOT NULL,
    "order_id" UUID NOT NULL,
    "step" TEXT NOT NULL,
    -- 'failed' = attempts; 'parked' = the saga stopped at the step, and waited.
    "kind" TEXT NOT NULL,
    "failure" TEXT NOT NULL,
    -- Of the newest attempt.
    "message" TEXT,
    "first_attempt" INTEGER NOT NULL,
    "last_attempt" INTEGER NOT NULL,
    "times" INTEGER NOT NULL DEFAULT 1,
    "first_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "last_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "step_failures_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "step_failures_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "step_failures_kind_check" CHECK ("kind" IN ('failed', 'parked')),
    CONSTRAINT "step_failures_times_check" CHECK ("times" >= 1 AND "first_attempt" >= 0),
    CONSTRAINT "step_failures_text_check" CHECK (length("step") <= 100 AND length("failure") <= 100 AND length("message") <= 300)
);
CREATE INDEX "step_failures_order_idx" ON "step_failures"("order_id", "id");

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE DELETE, TRUNCATE ON "step_failures" FROM order_saga_app;
    END IF;
END $$;
