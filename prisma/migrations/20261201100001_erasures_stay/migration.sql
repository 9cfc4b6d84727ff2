-- Whom it is about stays, as the erasure does: it is what a customer who is being erased is known by.
CREATE FUNCTION "erasures_stay"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW."id" <> OLD."id" OR NEW."reference" IS DISTINCT FROM OLD."reference" THEN
        RAISE EXCEPTION 'whom an erasure is about does not change' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "erasures_stay" BEFORE UPDATE ON "erasures" FOR EACH ROW EXECUTE FUNCTION "erasures_stay"();
