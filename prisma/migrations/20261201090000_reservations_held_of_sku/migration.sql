-- Which orders hold a SKU's stock: those that are on their way, a small part of all reservations.
CREATE INDEX CONCURRENTLY "reservations_held_of_sku_idx" ON "reservations"("sku", "order_id" DESC) WHERE "state" = 'RESERVED';
