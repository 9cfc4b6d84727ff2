-- By which an order's Idempotency-Key is found when its customer is erased.
CREATE INDEX CONCURRENTLY "idempotency_keys_order_idx" ON "idempotency_keys"("order_id");
