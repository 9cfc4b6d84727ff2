-- The saga log stays append-only, but for the words of a person and who they were, which may be erased.
CREATE FUNCTION "saga_log_erasure_only"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - ARRAY['actor', 'detail'] = to_jsonb(OLD) - ARRAY['actor', 'detail']
        AND (NEW."actor" IS NOT DISTINCT FROM OLD."actor" OR (OLD."actor" IS NOT NULL AND NEW."actor" = '[erased]'))
        AND (NEW."detail" IS NOT DISTINCT FROM OLD."detail" OR (OLD."detail" IS NOT NULL AND NEW."detail" = '[erased]')) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the saga log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER "saga_log_append_only" ON "saga_log";
CREATE TRIGGER "saga_log_append_only" BEFORE DELETE OR TRUNCATE ON "saga_log"
    FOR EACH STATEMENT EXECUTE FUNCTION "saga_log_refuse_change"();
CREATE TRIGGER "saga_log_erasure_only" BEFORE UPDATE ON "saga_log"
    FOR EACH ROW EXECUTE FUNCTION "saga_log_erasure_only"();
