-- The event's id as a column, for programs that read the outbox by logical replication and can make no value of two columns.
-- Rows of before this have none. By a trigger, so that it holds whichever release writes the row; a stored generated column
-- would write the table anew, and a virtual one is not replicated.
ALTER TABLE "outbox" ADD COLUMN "event_id" TEXT;
CREATE FUNCTION "outbox_name_event"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.event_id := NEW.order_id || '-' || NEW.sequence;
    RETURN NEW;
END $$;
CREATE TRIGGER "outbox_name_event" BEFORE INSERT ON "outbox" FOR EACH ROW EXECUTE FUNCTION "outbox_name_event"();
