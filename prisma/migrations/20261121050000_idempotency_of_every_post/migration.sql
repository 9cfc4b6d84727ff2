-- Idempotency-Key on every POST. An order's key is claimed and answered in one statement; elsewhere the work lies between the
-- claim and its answer, so a row may say that the work is under way: no response yet, and a lock that ends by itself.
ALTER TABLE "idempotency_keys"
    ALTER COLUMN "order_id" DROP NOT NULL,
    ALTER COLUMN "response" DROP NOT NULL,
    -- Code that does not know this column writes the answers of POST /orders only.
    ADD COLUMN "status" INTEGER NOT NULL DEFAULT 201,
    ADD COLUMN "claim" UUID,
    ADD COLUMN "locked_until" TIMESTAMPTZ(3),
    ADD CONSTRAINT "idempotency_keys_response_check"
        CHECK ("response" IS NOT NULL OR ("claim" IS NOT NULL AND "locked_until" IS NOT NULL));
