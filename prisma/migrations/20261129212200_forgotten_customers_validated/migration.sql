ALTER TABLE "customers" VALIDATE CONSTRAINT "customers_known_check";
