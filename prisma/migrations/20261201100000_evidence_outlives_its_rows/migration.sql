-- What decides whether evidence may go stood in rows that the app may write, and write back. How old an operation is its acts say, to which the
-- app can only add: the newest of them is older than ninety days as well.
CREATE OR REPLACE FUNCTION "erase_acts_of_old_operations"("operations" UUID[]) RETURNS INTEGER
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    "erased" INTEGER;
BEGIN
    IF EXISTS (SELECT FROM unnest("operations") AS named ("id") LEFT JOIN "operations" o ON o."id" = named."id"
            WHERE o."ended_at" IS NULL OR o."ended_at" >= now() - interval '90 days'
                OR EXISTS (SELECT FROM "audit_acts" a WHERE a."resource" = named."id"::text AND a."at" >= now() - interval '90 days')) THEN
        RAISE EXCEPTION 'this operation has not ended ninety days ago' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE "audit_acts" a SET "reason" = NULL
        WHERE a."reason" IS NOT NULL AND a."route" ~ 'operations' AND a."resource" IN (SELECT unnest("operations")::text);
    GET DIAGNOSTICS "erased" = ROW_COUNT;
    RETURN "erased";
END $$;

-- That a customer is being erased takes a request, which the app can neither remove nor make another's, and is never taken back: whoever has
-- the app's password and has somebody's acts erased by it leaves an erasure that all can see.
CREATE OR REPLACE FUNCTION "erase_audit_acts"("customer" UUID, "page" INTEGER) RETURNS INTEGER
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    "erased" INTEGER;
BEGIN
    IF NOT EXISTS (SELECT FROM "customers" c JOIN "erasures" e ON e."reference" = c."reference"
            WHERE c."reference" = "customer" AND c."erasing_since" IS NOT NULL) THEN
        RAISE EXCEPTION 'this customer is not being erased' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE "audit_acts" a SET "reason" = NULL
        WHERE a."reason" IS NOT NULL AND a."id" IN (
            (SELECT of_order."id" FROM "orders" o JOIN "audit_acts" of_order ON of_order."resource" = o."id"::text AND of_order."reason" IS NOT NULL
                WHERE o."customer_id" = "customer"::text LIMIT "page")
            UNION
            (SELECT of_letter."id" FROM "orders" o JOIN "dead_letters" l ON l."order_id" = o."id"
                JOIN "audit_acts" of_letter ON of_letter."resource" = l."id"::text AND of_letter."reason" IS NOT NULL
                WHERE o."customer_id" = "customer"::text AND of_letter."route" ~ 'dead-letters' LIMIT "page")
            UNION
            (SELECT of_finding."id" FROM "orders" o JOIN "reconciliation_findings" f ON f."order_id" = o."id"::text
                JOIN "audit_acts" of_finding ON of_finding."resource" = f."id"::text AND of_finding."reason" IS NOT NULL
                WHERE o."customer_id" = "customer"::text AND of_finding."route" ~ 'findings|reconcile|after-restore' LIMIT "page")
            UNION
            (SELECT DISTINCT of_operation."id" FROM "orders" o JOIN "operation_items" i ON i."order_id" = o."id"
                JOIN "audit_acts" of_operation ON of_operation."resource" = i."operation_id"::text AND of_operation."reason" IS NOT NULL
                WHERE o."customer_id" = "customer"::text LIMIT "page")
            LIMIT "page");
    GET DIAGNOSTICS "erased" = ROW_COUNT;
    RETURN "erased";
END $$;
CREATE FUNCTION "customers_erasing_stays"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD."erasing_since" IS NOT NULL AND NEW."erasing_since" IS NULL OR NEW."reference" <> OLD."reference" THEN
        RAISE EXCEPTION 'an erasure is not taken back' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "customers_erasing_stays" BEFORE UPDATE ON "customers" FOR EACH ROW EXECUTE FUNCTION "customers_erasing_stays"();
