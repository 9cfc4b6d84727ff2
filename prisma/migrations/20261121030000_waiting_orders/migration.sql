-- Orders that begin to unwind and have not come to their end. Next to empty. By id, not by time: a column that every update of
-- an order changes would cost each of them its place on the page (HOT).
CREATE INDEX "orders_unwinding_idx" ON "orders"("id") WHERE "unwinding_reason" IS NOT NULL AND "status" <> 'CANCELLED';
