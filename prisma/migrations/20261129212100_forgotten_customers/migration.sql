-- In a database that was restored to before an erasure the client's id goes at once, while the erasure may have to wait for open orders:
-- its tombstones need the keyed hash until then.
ALTER TABLE "customers" DROP CONSTRAINT "customers_known_check", ADD CONSTRAINT "customers_known_check"
    CHECK ("erased_at" IS NOT NULL OR ("lookup" IS NOT NULL AND ("client_id" IS NOT NULL OR "erasing_since" IS NOT NULL))) NOT VALID;
