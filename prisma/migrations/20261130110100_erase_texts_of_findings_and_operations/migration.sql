-- Also what operators wrote of a finding of the customer's orders, and of an operation that one of these was part of: such acts have the
-- finding's or the operation's id. The release before calls it as before, and erases more by it.

-- What is erased is not found again: whoever calls it until it has erased less than a page has gone through all. So each act is counted
-- once, however many of the customer's orders an operation had.
CREATE OR REPLACE FUNCTION "erase_audit_acts"("customer" UUID, "page" INTEGER) RETURNS INTEGER
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    "erased" INTEGER;
BEGIN
    IF NOT EXISTS (SELECT FROM "customers" c WHERE c."reference" = "customer" AND c."erasing_since" IS NOT NULL) THEN
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
