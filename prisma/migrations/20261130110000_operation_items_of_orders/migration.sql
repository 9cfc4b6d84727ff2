-- An erasure looks for the operations that an order was part of.
CREATE INDEX CONCURRENTLY "operation_items_of_order_idx" ON "operation_items"("order_id");
