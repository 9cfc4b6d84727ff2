-- An erased order may still be taken back; what is said about it then is not kept with it.
CREATE FUNCTION "orders_keep_erased"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW."cancellation_message" := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER "orders_keep_erased" BEFORE UPDATE OF "cancellation_message" ON "orders"
    FOR EACH ROW WHEN (OLD."payment_method" = '[erased]' AND NEW."cancellation_message" IS NOT NULL)
    EXECUTE FUNCTION "orders_keep_erased"();
