-- As in "saga_log": the reason of a closing may be erased.
CREATE FUNCTION "reconciliation_closings_erasure_only"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'reason' = to_jsonb(OLD) - 'reason' AND NEW."reason" IN (OLD."reason", '[erased]') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'closings of findings are append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER "reconciliation_closings_append_only" ON "reconciliation_closings";
CREATE TRIGGER "reconciliation_closings_append_only" BEFORE DELETE OR TRUNCATE ON "reconciliation_closings"
    FOR EACH STATEMENT EXECUTE FUNCTION "reconciliation_closings_refuse_change"();
CREATE TRIGGER "reconciliation_closings_erasure_only" BEFORE UPDATE ON "reconciliation_closings"
    FOR EACH ROW EXECUTE FUNCTION "reconciliation_closings_erasure_only"();
