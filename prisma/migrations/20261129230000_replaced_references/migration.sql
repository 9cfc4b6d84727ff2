-- The app may not change events. That orders older than references have theirs in their first event too is done for it, with the rights
-- of the owner: what is written is what the order's own row says, and only where that is a customer's reference.
CREATE FUNCTION "replace_event_customers"("ids" UUID[]) RETURNS INTEGER
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    "replaced" INTEGER;
BEGIN
    UPDATE "outbox" e SET "data" = jsonb_set(e."data", '{customerId}', to_jsonb(o."customer_id"))
        FROM "orders" o JOIN "customers" c ON c."reference"
            = CASE WHEN o."customer_id" ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN o."customer_id"::uuid END
        WHERE o."id" = ANY("ids") AND e."order_id" = o."id" AND e."sequence" = 1 AND e."data" ->> 'customerId' <> o."customer_id";
    GET DIAGNOSTICS "replaced" = ROW_COUNT;
    RETURN "replaced";
END $$;
