-- Few at a time, and looked for every few seconds, among all who were ever forgotten.
CREATE INDEX CONCURRENTLY "customers_being_erased_idx" ON "customers"("reference") WHERE "erasing_since" IS NOT NULL AND "erased_at" IS NULL;
