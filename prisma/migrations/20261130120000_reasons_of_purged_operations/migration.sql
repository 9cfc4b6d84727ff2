-- Once an operation is gone nothing says any more which orders it was about, so an erasure could not find what was said of it in the audit
-- trail: that goes with it. Who did it, when and to how many stays, and each order's own acts keep the reason. Refused for one that has not
-- ended so long ago.
CREATE FUNCTION "erase_acts_of_old_operations"("operations" UUID[]) RETURNS INTEGER
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    "erased" INTEGER;
BEGIN
    IF EXISTS (SELECT FROM unnest("operations") AS named ("id") LEFT JOIN "operations" o ON o."id" = named."id"
            WHERE o."ended_at" IS NULL OR o."ended_at" >= now() - interval '90 days') THEN
        RAISE EXCEPTION 'this operation has not ended ninety days ago' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE "audit_acts" a SET "reason" = NULL
        WHERE a."reason" IS NOT NULL AND a."route" ~ 'operations' AND a."resource" IN (SELECT unnest("operations")::text);
    GET DIAGNOSTICS "erased" = ROW_COUNT;
    RETURN "erased";
END $$;
