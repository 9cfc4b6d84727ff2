-- Whom orders are placed for: inside, a customer is a random reference; which client's id stands behind it is here alone, and
-- can be destroyed.
CREATE TABLE "customers" (
    "reference" UUID NOT NULL,
    -- The keyed hash by which the client's id is found (installation.identity_key); NULL = destroyed.
    "lookup" BYTEA,
    -- The client's id, sealed where keys are configured; NULL = destroyed.
    "client_id" TEXT,
    -- As in "orders", of the events about the customer.
    "event_count" INTEGER NOT NULL DEFAULT 0,
    "event_xid" BIGINT NOT NULL DEFAULT 0,
    -- From then on a new order of the same client's id has another reference.
    "erasing_since" TIMESTAMPTZ(3),
    "erased_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),

    CONSTRAINT "customers_pkey" PRIMARY KEY ("reference"),
    CONSTRAINT "customers_erased_check" CHECK ("erased_at" IS NULL OR ("erasing_since" IS NOT NULL AND "lookup" IS NULL AND "client_id" IS NULL)),
    CONSTRAINT "customers_known_check" CHECK ("erased_at" IS NOT NULL OR ("lookup" IS NOT NULL AND "client_id" IS NOT NULL))
);
CREATE UNIQUE INDEX "customers_lookup_key" ON "customers"("lookup") WHERE "erasing_since" IS NULL;
CREATE INDEX "customers_erasing_idx" ON "customers"("lookup") WHERE "erasing_since" IS NOT NULL;

-- Orders have references in customer_id from pseudonyms_since on, and nothing else from pseudonyms_complete_at on. The release
-- before cannot read references, so a database with orders begins when an operator says that it is gone; an empty one at once.
ALTER TABLE "installation" ADD COLUMN "identity_key" TEXT, ADD COLUMN "pseudonyms_since" TIMESTAMPTZ(3), ADD COLUMN "pseudonyms_complete_at" TIMESTAMPTZ(3);
-- lint allow data: the one row of the table
UPDATE "installation" SET "identity_key" = encode(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'base64'),
    "pseudonyms_since" = CASE WHEN EXISTS (SELECT FROM "orders") THEN NULL ELSE now() END,
    "pseudonyms_complete_at" = CASE WHEN EXISTS (SELECT FROM "orders") THEN NULL ELSE now() END;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE DELETE, TRUNCATE ON "customers" FROM order_saga_app;
    END IF;
END $$;
