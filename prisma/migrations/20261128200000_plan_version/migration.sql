-- An order has the steps of the plan under which it was accepted (contracts/plan). Whoever accepted one before this column, or
-- accepts one with an older build, did so under the first.
ALTER TABLE "orders" ADD COLUMN "plan_version" SMALLINT NOT NULL DEFAULT 1;
-- The order is confirmed, and steps that come after that are still to be done: its saga must not be missing.
ALTER TABLE "orders" ADD COLUMN "forward_due" BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX "orders_forward_due_idx" ON "orders"("id") WHERE "forward_due";
