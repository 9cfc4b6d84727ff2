-- As "erase_audit_texts", which the release before calls, but so many rows at a time: a customer of whose orders operators wrote a hundred
-- thousand times would have it run into the limit of statements, each time from the beginning, and hold all of these rows meanwhile.

-- What is erased is not found again: whoever calls it until it has erased less than a page has gone through all.
CREATE FUNCTION "erase_audit_acts"("customer" UUID, "page" INTEGER) RETURNS INTEGER
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
            UNION ALL
            (SELECT of_letter."id" FROM "orders" o JOIN "dead_letters" l ON l."order_id" = o."id"
                JOIN "audit_acts" of_letter ON of_letter."resource" = l."id"::text AND of_letter."reason" IS NOT NULL
                WHERE o."customer_id" = "customer"::text AND of_letter."route" ~ 'dead-letters' LIMIT "page")
            LIMIT "page");
    GET DIAGNOSTICS "erased" = ROW_COUNT;
    RETURN "erased";
END $$;

-- Of the calls with these ids, "before" left out.
CREATE FUNCTION "erase_audit_calls"("customer" UUID, "names" TEXT[], "since" BIGINT, "before" BIGINT) RETURNS INTEGER
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    "erased" INTEGER;
BEGIN
    IF NOT EXISTS (SELECT FROM "customers" c WHERE c."reference" = "customer" AND c."erasing_since" IS NOT NULL) THEN
        RAISE EXCEPTION 'this customer is not being erased' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE "audit_calls" a SET "source" = CASE WHEN a."subject" = ANY("names") THEN NULL ELSE a."source" END,
            "subject" = CASE WHEN a."subject" = ANY("names") THEN NULL ELSE a."subject" END,
            "resource" = CASE WHEN a."resource" = ANY("names") THEN NULL ELSE a."resource" END
        WHERE a."id" >= "since" AND a."id" < "before" AND a."kind" IN ('refused', 'read')
            AND (a."subject" = ANY("names") OR a."resource" = ANY("names"));
    GET DIAGNOSTICS "erased" = ROW_COUNT;
    RETURN "erased";
END $$;
