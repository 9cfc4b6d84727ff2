-- Version 3 of what is sent to charge an order: its correlation id as well, in the form that was chosen when it was accepted, so that
-- every attempt sends the same. Orders of before, and those that an older build accepts, have none. NOT VALID: no look at the old
-- rows, which fulfil it, and so no lock that is held for long.
ALTER TABLE "orders"
    ADD COLUMN "charge_correlation_id" TEXT,
    DROP CONSTRAINT "orders_charge_version_check",
    ADD CONSTRAINT "orders_charge_version_check" CHECK ("charge_version" IN (1, 2, 3)
        AND ("charge_version" = 1) = ("installation_id" IS NULL)
        AND ("charge_version" = 3) = ("charge_correlation_id" IS NOT NULL)) NOT VALID;
