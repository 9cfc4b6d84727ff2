-- Orders by what they cost.
CREATE INDEX CONCURRENTLY "orders_amount_idx" ON "orders"("currency", "total_amount", "id" DESC);
