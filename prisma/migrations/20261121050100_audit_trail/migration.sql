-- The audit trail: privileged calls and refused ones. Append-only, and a chain: each entry's hash covers its content and the
-- hash of the one before, and ids have no gaps, so that what somebody with more rights than the service changes or takes
-- out shows at the next entry.
CREATE TABLE "audit_trail" (
    "id" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "first_at" TIMESTAMPTZ(3) NOT NULL,
    "subject" TEXT,
    "route" TEXT NOT NULL,
    "resource" TEXT,
    "status" INTEGER NOT NULL,
    "correlation_id" TEXT NOT NULL,
    "source" TEXT,
    "times" INTEGER NOT NULL DEFAULT 1,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_trail_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "audit_trail_times_check" CHECK ("times" >= 1),
    CONSTRAINT "audit_trail_text_check" CHECK (
        length("subject") <= 128 AND length("route") <= 200 AND length("resource") <= 200
        AND length("correlation_id") <= 128 AND length("source") <= 64)
);

CREATE FUNCTION "audit_trail_hash"(entry "audit_trail", before BYTEA) RETURNS BYTEA LANGUAGE sql STABLE AS $$
    SELECT sha256(before || convert_to(jsonb_build_array(entry.id, extract(epoch FROM entry.at), extract(epoch FROM entry.first_at),
        entry.subject, entry.route, entry.resource, entry.status, entry.correlation_id, entry.source, entry.times)::text, 'UTF8'))
$$;

-- One writer at a time: an id is visible before the next is given, so a reader that goes on from the last id misses none.
CREATE FUNCTION "audit_trail_chain"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last "audit_trail";
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_trail'));
    SELECT * INTO last FROM "audit_trail" ORDER BY "id" DESC LIMIT 1;
    NEW."id" := coalesce(last."id", 0) + 1;
    NEW."at" := clock_timestamp();
    NEW."first_at" := coalesce(NEW."first_at", NEW."at");
    NEW."hash" := "audit_trail_hash"(NEW, coalesce(last."hash", ''));
    RETURN NEW;
END $$;
CREATE TRIGGER "audit_trail_chain" BEFORE INSERT ON "audit_trail"
    FOR EACH ROW EXECUTE FUNCTION "audit_trail_chain"();

CREATE FUNCTION "audit_trail_refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER "audit_trail_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_trail"
    FOR EACH STATEMENT EXECUTE FUNCTION "audit_trail_refuse_change"();

-- The id of the first entry that is not what was written, or null. Whoever cut off the newest entries is not found by this:
-- compare the last id and hash with what was noted elsewhere.
CREATE FUNCTION "audit_trail_broken_at"() RETURNS BIGINT LANGUAGE sql STABLE AS $$
    SELECT min(n) FROM (
        SELECT row_number() OVER (ORDER BY "id") AS n, "id", "hash",
            "audit_trail_hash"(a, coalesce(lag("hash") OVER (ORDER BY "id"), '')) AS wanted
        FROM "audit_trail" a
    ) entry WHERE "id" <> n OR "hash" <> wanted
$$;

-- Default privileges (deploy/postgres/roles.sql) let the app change rows; not these.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON "audit_trail", "saga_log" FROM order_saga_app;
    END IF;
END $$;
