-- Brakes: what operators hold back on purpose, each time with a row that stays. One that is not released is engaged.
CREATE TABLE "brake_periods" (
    "id" BIGSERIAL NOT NULL,
    "brake" TEXT NOT NULL,
    "engaged_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    "engaged_by" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    -- Of `accepting`: what whoever orders is told, and when to come again.
    "message" TEXT,
    "retry_after_s" INTEGER,
    -- Of `spending`: per currency the most that is charged within an hour, in the minor unit.
    "limits" JSONB,
    "released_at" TIMESTAMPTZ(3),
    "released_by" TEXT,
    "release_reason" TEXT,

    CONSTRAINT "brake_periods_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "brake_periods_brake_check" CHECK ("brake" IN ('accepting', 'charging', 'spending')),
    CONSTRAINT "brake_periods_released_check" CHECK (("released_at" IS NULL) = ("released_by" IS NULL) AND ("released_at" IS NULL) = ("release_reason" IS NULL)),
    CONSTRAINT "brake_periods_limits_check" CHECK (("brake" = 'spending') = ("limits" IS NOT NULL)),
    CONSTRAINT "brake_periods_retry_after_check" CHECK ("retry_after_s" BETWEEN 1 AND 86400),
    CONSTRAINT "brake_periods_text_check" CHECK (length("engaged_by") <= 128 AND length("released_by") <= 128 AND length("reason") <= 200
        AND length("release_reason") <= 200 AND length("message") <= 200)
);
CREATE UNIQUE INDEX "brake_periods_engaged_key" ON "brake_periods"("brake") WHERE "released_at" IS NULL;

-- While there is a limit on spending: what each order may have been charged, counted once, and the sums of it by minute.
CREATE TABLE "spending_claims" (
    "order_id" UUID NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "amount" BIGINT NOT NULL,
    "minute" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "spending_claims_pkey" PRIMARY KEY ("order_id"),
    CONSTRAINT "spending_claims_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT
);
CREATE INDEX "spending_claims_minute_idx" ON "spending_claims"("minute");
CREATE TABLE "spending_minutes" (
    "currency" CHAR(3) NOT NULL,
    "minute" TIMESTAMPTZ(3) NOT NULL,
    "amount" BIGINT NOT NULL,

    CONSTRAINT "spending_minutes_pkey" PRIMARY KEY ("currency", "minute")
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE DELETE, TRUNCATE ON "brake_periods" FROM order_saga_app;
    END IF;
END $$;
