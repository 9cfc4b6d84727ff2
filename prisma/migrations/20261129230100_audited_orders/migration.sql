-- An erasure looks for what was said of the customer’s orders, in a table that is kept for ever.
CREATE INDEX CONCURRENTLY "audit_acts_resource_idx" ON "audit_acts"("resource") WHERE "reason" IS NOT NULL;
