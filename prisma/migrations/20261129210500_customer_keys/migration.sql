-- One data key per customer and version, wrapped by a key that this database does not know. What is sealed with it can be read as
-- long as its row has it: taking it away erases all of that at once.
CREATE TABLE "customer_keys" (
    "reference" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "kek_id" TEXT,
    "wrapped" BYTEA,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    "destroyed_at" TIMESTAMPTZ(3),

    CONSTRAINT "customer_keys_pkey" PRIMARY KEY ("reference", "version"),
    -- Version 0 is the tombstone of a customer who never had a key.
    CONSTRAINT "customer_keys_version_check" CHECK ("version" > 0 OR ("version" = 0 AND "destroyed_at" IS NOT NULL)),
    CONSTRAINT "customer_keys_destroyed_check" CHECK (("wrapped" IS NULL) = ("destroyed_at" IS NOT NULL)),
    CONSTRAINT "customer_keys_kek_check" CHECK ("wrapped" IS NULL OR ("kek_id" IS NOT NULL AND octet_length("wrapped") BETWEEN 32 AND 4096))
);

-- Which keys wrap something still, and what a rotation has to wrap anew.
CREATE INDEX "customer_keys_kek_idx" ON "customer_keys" ("kek_id") WHERE "wrapped" IS NOT NULL;

-- Whoever makes a key and whoever destroys those of the same customer take turns: a key that was being made meanwhile would
-- outlive its customer.
CREATE FUNCTION customer_keys_turn("reference" UUID) RETURNS BIGINT LANGUAGE sql IMMUTABLE
    AS $$ SELECT hashtextextended('customer_keys ' || "reference"::text, 0) $$;

CREATE FUNCTION customer_keys_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(customer_keys_turn(NEW."reference"));
    IF EXISTS (SELECT FROM "customer_keys" k WHERE k."reference" = NEW."reference" AND k."destroyed_at" IS NOT NULL) THEN
        RAISE EXCEPTION 'the keys of this customer are destroyed: none is made again'
            USING ERRCODE = 'check_violation', TABLE = 'customer_keys', CONSTRAINT = 'customer_keys_not_made_again';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "customer_keys_made" BEFORE INSERT ON "customer_keys" FOR EACH ROW EXECUTE FUNCTION customer_keys_made();

CREATE FUNCTION customer_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD."destroyed_at" IS NOT NULL OR NEW."reference" <> OLD."reference" OR NEW."version" <> OLD."version" THEN
        RAISE EXCEPTION 'a destroyed key stays destroyed, and no key becomes another''s'
            USING ERRCODE = 'check_violation', TABLE = 'customer_keys', CONSTRAINT = 'customer_keys_not_made_again';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "customer_keys_changed" BEFORE UPDATE ON "customer_keys" FOR EACH ROW EXECUTE FUNCTION customer_keys_changed();

-- All keys of a customer, those that are being made included; without any, a tombstone is left, so that none is made later.
-- Repeatable. Returns how many it has destroyed.
CREATE FUNCTION destroy_customer_keys("customer" UUID) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE "destroyed" INTEGER;
BEGIN
    PERFORM pg_advisory_xact_lock(customer_keys_turn("customer"));
    UPDATE "customer_keys" k SET "wrapped" = NULL, "destroyed_at" = now()
        WHERE k."reference" = "customer" AND k."destroyed_at" IS NULL;
    GET DIAGNOSTICS "destroyed" = ROW_COUNT;
    IF NOT EXISTS (SELECT FROM "customer_keys" k WHERE k."reference" = "customer") THEN
        INSERT INTO "customer_keys" ("reference", "version", "destroyed_at") VALUES ("customer", 0, now());
    END IF;
    RETURN "destroyed";
END $$;

-- A tombstone is for ever: without it the key could be made again.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE DELETE, TRUNCATE ON "customer_keys" FROM order_saga_app;
    END IF;
END $$;
