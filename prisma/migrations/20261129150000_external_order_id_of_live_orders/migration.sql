-- A customer's own order number names one order among those that are not CANCELLED: after a declined card the same number may
-- be ordered again. The index keeps its name, by which the previous release, too, recognises a number that is taken. Dropped
-- first: whoever uses the table waits here once, instead of meeting this in a deadlock on the way to the stronger lock.
DROP INDEX "orders_external_order_id_key";
CREATE UNIQUE INDEX "orders_external_order_id_key" ON "orders"("customer_id", "external_order_id")
    WHERE "external_order_id" IS NOT NULL AND "status" <> 'CANCELLED';
