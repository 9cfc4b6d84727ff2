-- What the app may not change by itself, retention may have blanked: of orders that came to their end long ago, and nothing but the
-- parts that are about persons. It runs with the rights of the owner; whoever has the app's password can falsify nothing by it, nor
-- blank what is younger than 90 days.
CREATE FUNCTION "blank_old_order_texts"("ids" UUID[])
    RETURNS TABLE ("events" INTEGER, "log_entries" INTEGER, "closings" INTEGER)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    old UUID[];
BEGIN
    SELECT coalesce(array_agg(o."id"), '{}') INTO old FROM "orders" o
        WHERE o."id" = ANY("ids") AND o."status" <> 'PENDING' AND o."updated_at" < now() - interval '90 days';
    UPDATE "outbox" e SET "data" = e."data" - 'externalOrderId'
            || CASE WHEN e."data" ? 'customerId' THEN jsonb_build_object('customerId', o."customer_id") ELSE '{}' END,
            "correlation_id" = e."order_id"::text, "traceparent" = NULL
        FROM "orders" o WHERE o."id" = e."order_id" AND e."order_id" = ANY(old);
    GET DIAGNOSTICS "events" = ROW_COUNT;
    UPDATE "saga_log" l SET
            "actor" = CASE WHEN l."actor" IS NOT NULL THEN '[erased]' END,
            "detail" = CASE WHEN l."detail" IS NOT NULL AND l."step" IN ('unwinding', 'resolve', 'dead-letter', 'reconciliation')
                THEN '[erased]' ELSE l."detail" END
        WHERE l."order_id" = ANY(old) AND (l."actor" <> '[erased]'
            OR (l."detail" <> '[erased]' AND l."step" IN ('unwinding', 'resolve', 'dead-letter', 'reconciliation')));
    GET DIAGNOSTICS "log_entries" = ROW_COUNT;
    UPDATE "reconciliation_closings" r SET "reason" = '[erased]' FROM "reconciliation_findings" f
        WHERE f."id" = r."finding_id" AND f."order_id" = ANY(old::text[]) AND r."reason" <> '[erased]';
    GET DIAGNOSTICS "closings" = ROW_COUNT;
    RETURN NEXT;
END $$;
