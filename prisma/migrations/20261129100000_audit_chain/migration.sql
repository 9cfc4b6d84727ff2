-- The audit chain (docs/decisions/0012-audit-chain.md). `audit_trail` stays as it is: the code of before goes on adding to it
-- during a deploy, and the chain seals its rows.

-- Acts: what was done with an operator's rights, before and after, each signed (HMAC) over its own content and the signature of
-- the one before, with a key that is not in this database. Kept for ever.
CREATE TABLE "audit_acts" (
    "id" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "kind" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "subject" TEXT,
    "subject_hash" BYTEA,
    "resource" TEXT,
    "resource_hash" BYTEA,
    "reason" TEXT,
    "reason_hash" BYTEA,
    "source" TEXT,
    "source_hash" BYTEA,
    "status" INTEGER,
    "correlation_id" TEXT NOT NULL,
    "before" JSONB,
    "after" JSONB,
    "key_id" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_acts_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "audit_acts_kind_check" CHECK ("kind" IN ('act', 'outcome', 'seal', 'purge')),
    CONSTRAINT "audit_acts_text_check" CHECK (
        length("subject") <= 512 AND length("route") <= 200 AND length("resource") <= 200 AND length("reason") <= 500
        AND length("correlation_id") <= 128 AND length("source") <= 64 AND length("key_id") <= 16
        AND octet_length("hash") = 32)
);
-- What the chain says of other tables; there are few of them a day.
CREATE INDEX "audit_acts_seals_idx" ON "audit_acts" ("id") WHERE "kind" IN ('seal', 'purge');

-- Calls: refused ones, reads by operators and auditors, and privileged calls that changed nothing. Each is signed by itself;
-- their ids have no gaps; a day of them is sealed by an entry of the chain, and goes when its retention is over.
CREATE TABLE "audit_calls" (
    "id" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "first_at" TIMESTAMPTZ(3) NOT NULL,
    "kind" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "subject" TEXT,
    "subject_hash" BYTEA,
    "resource" TEXT,
    "resource_hash" BYTEA,
    "source" TEXT,
    "source_hash" BYTEA,
    "status" INTEGER NOT NULL,
    "correlation_id" TEXT NOT NULL,
    "times" INTEGER NOT NULL DEFAULT 1,
    "key_id" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_calls_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "audit_calls_kind_check" CHECK ("kind" IN ('refused', 'read', 'no-effect')),
    CONSTRAINT "audit_calls_times_check" CHECK ("times" >= 1),
    CONSTRAINT "audit_calls_text_check" CHECK (
        length("subject") <= 512 AND length("route") <= 200 AND length("resource") <= 200
        AND length("correlation_id") <= 128 AND length("source") <= 64 AND length("key_id") <= 16
        AND octet_length("hash") = 32)
);

-- Whoever may add may add at the end only, and now: no gap, no earlier time, none to come. The time of day is the database's.
CREATE FUNCTION "audit_acts_append"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last "audit_acts";
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_acts'));
    SELECT * INTO last FROM "audit_acts" ORDER BY "id" DESC LIMIT 1;
    IF NEW."id" <> coalesce(last."id", 0) + 1 OR NEW."at" < last."at" OR NEW."at" > greatest(clock_timestamp(), last."at") THEN
        RAISE EXCEPTION 'the audit chain is added to at its end, at the time of day' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "audit_acts_append" BEFORE INSERT ON "audit_acts" FOR EACH ROW EXECUTE FUNCTION "audit_acts_append"();

CREATE FUNCTION "audit_calls_append"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last "audit_calls";
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_calls'));
    SELECT * INTO last FROM "audit_calls" ORDER BY "id" DESC LIMIT 1;
    IF (last."id" IS NOT NULL AND NEW."id" <> last."id" + 1) OR NEW."at" < last."at"
        OR NEW."at" > greatest(clock_timestamp(), last."at") THEN
        RAISE EXCEPTION 'audited calls are added at the end, at the time of day' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "audit_calls_append" BEFORE INSERT ON "audit_calls" FOR EACH ROW EXECUTE FUNCTION "audit_calls_append"();

-- The only change that there is: what identifies a person is erased. Its keyed hash, which is what was signed, stays.
CREATE FUNCTION "audit_refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erasable TEXT[] := ARRAY['subject', 'resource', 'reason', 'source'];
BEGIN
    IF TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW' THEN
        IF to_jsonb(NEW) - erasable = to_jsonb(OLD) - erasable
            AND NOT EXISTS (SELECT FROM unnest(erasable) AS field
                WHERE to_jsonb(NEW) ->> field IS NOT NULL AND to_jsonb(NEW) ->> field IS DISTINCT FROM to_jsonb(OLD) ->> field) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER "audit_acts_append_only" BEFORE DELETE OR TRUNCATE ON "audit_acts"
    FOR EACH STATEMENT EXECUTE FUNCTION "audit_refuse_change"();
CREATE TRIGGER "audit_acts_erasure_only" BEFORE UPDATE ON "audit_acts"
    FOR EACH ROW EXECUTE FUNCTION "audit_refuse_change"();
CREATE TRIGGER "audit_calls_append_only" BEFORE TRUNCATE ON "audit_calls"
    FOR EACH STATEMENT EXECUTE FUNCTION "audit_refuse_change"();
CREATE TRIGGER "audit_calls_erasure_only" BEFORE UPDATE ON "audit_calls"
    FOR EACH ROW EXECUTE FUNCTION "audit_refuse_change"();

-- Default privileges (deploy/postgres/roles.sql) let the app change rows; not these. Old calls it removes (retention).
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON "audit_acts" FROM order_saga_app;
        REVOKE UPDATE, TRUNCATE ON "audit_calls" FROM order_saga_app;
    END IF;
END $$;
