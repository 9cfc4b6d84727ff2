-- What one request costs: it neither scans nor stores without bound; and what is not there any more is said to be gone.

-- A customer's orders of one status: without it, a customer with many orders and none of that status reads all of them.
CREATE INDEX "orders_customer_status_newest_idx" ON "orders"("customer_id", "status", "id" DESC);

-- Answers that are kept for repetitions of a request. Many keys share one: cancelling an order with a fresh key each time
-- gives the same bytes each time. An answer stays as long as the longest-lived of its keys.
CREATE TABLE "idempotency_answers" (
    "digest" BYTEA NOT NULL,
    "response" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_answers_pkey" PRIMARY KEY ("digest")
);
CREATE INDEX "idempotency_answers_expires_idx" ON "idempotency_answers"("expires_at");
-- Code that does not know this column takes such a key for one whose request is under way, and answers so.
ALTER TABLE "idempotency_keys" ADD COLUMN "answer" BYTEA;
ALTER TABLE "idempotency_keys" DROP CONSTRAINT "idempotency_keys_response_check";
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_response_check"
    CHECK ("response" IS NOT NULL OR "answer" IS NOT NULL OR ("claim" IS NOT NULL AND "locked_until" IS NOT NULL));
-- How many keys an order's cancellation has. POST /orders, the hot one, does not pay for it.
CREATE INDEX "idempotency_keys_cancelled_order_idx" ON "idempotency_keys"("order_id") WHERE "route" = 'POST /orders/:id/cancel';

-- The place up to which events have left the feed. Who has read less than that has missed some. What went before this
-- migration is not known, and not reported.
CREATE TABLE "feed_horizon" (
    "singleton" BOOLEAN NOT NULL DEFAULT true,
    "feed_xid" BIGINT NOT NULL,
    "feed_position" BIGINT NOT NULL,
    "occurred_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "feed_horizon_pkey" PRIMARY KEY ("singleton"),
    CONSTRAINT "feed_horizon_singleton_check" CHECK ("singleton")
);

-- By the table itself, so that it holds whoever removes them: an older relay beside this, or a person.
CREATE FUNCTION "outbox_move_horizon"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO feed_horizon AS h (feed_xid, feed_position, occurred_at)
    SELECT feed_xid, feed_position, occurred_at FROM gone ORDER BY feed_xid DESC, feed_position DESC LIMIT 1
    ON CONFLICT (singleton) DO UPDATE SET feed_xid = excluded.feed_xid, feed_position = excluded.feed_position,
        occurred_at = excluded.occurred_at
    WHERE (h.feed_xid, h.feed_position) < (excluded.feed_xid, excluded.feed_position);
    RETURN NULL;
END $$;
CREATE TRIGGER "outbox_move_horizon" AFTER DELETE ON "outbox"
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION "outbox_move_horizon"();
