-- Orders that begin to unwind and have not come to their end. Next to empty. By id, not by time: a column that every update of
-- an order changes would cost each of them its place on the page (HOT).
CREATE INDEX "orders_unwinding_idx" ON "orders"("id") WHERE "unwinding_reason" IS NOT NULL AND "status" <> 'CANCELLED';

-- An operator's decision is recorded by an activity, which may run twice.
ALTER TABLE "saga_log" ADD COLUMN "decision_id" TEXT;
CREATE UNIQUE INDEX "saga_log_decision_key" ON "saga_log"("order_id", "decision_id") WHERE "decision_id" IS NOT NULL;
