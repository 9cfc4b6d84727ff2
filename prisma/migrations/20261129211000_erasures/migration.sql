-- Erasures: requests to erase a person, from the request to the certificate. None of these tables says whom it is about.
CREATE TABLE "erasures" (
    "id" UUID NOT NULL,
    -- Of the customer; NULL = none was known by the id that was given.
    "reference" UUID,
    "state" TEXT NOT NULL,
    "requested_by" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    -- What held it at the last look: so many orders, the first of them by name.
    "waiting_for" JSONB NOT NULL DEFAULT '[]',
    "waiting_count" INTEGER NOT NULL DEFAULT 0,
    "looked_at" TIMESTAMPTZ(3),
    -- What it could not go on without at the last look, besides: a neighbour that was away.
    "stalled_by" TEXT,
    -- From when on the erasure journal has the request, where there is one.
    "noted_at" TIMESTAMPTZ(3),
    -- From when on all of the customer's Idempotency-Keys have their tombstones.
    "entombed_at" TIMESTAMPTZ(3),
    -- A pass over the customer's orders: its beginning, and the last order that it has done.
    "pass_began_at" TIMESTAMPTZ(3),
    "pass_place" UUID,
    -- How much of what was erased so far.
    "counts" JSONB NOT NULL DEFAULT '{}',
    "done_at" TIMESTAMPTZ(3),

    CONSTRAINT "erasures_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "erasures_reference_fkey" FOREIGN KEY ("reference") REFERENCES "customers"("reference") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "erasures_state_check" CHECK ("state" IN ('waiting', 'erasing', 'done')),
    CONSTRAINT "erasures_done_check" CHECK (("state" = 'done') = ("done_at" IS NOT NULL)),
    CONSTRAINT "erasures_text_check" CHECK (length("requested_by") BETWEEN 1 AND 128 AND length("reason") BETWEEN 1 AND 200)
);
CREATE UNIQUE INDEX "erasures_reference_key" ON "erasures"("reference");
-- The work in hand. Next to empty.
CREATE INDEX "erasures_open_idx" ON "erasures"("looked_at") WHERE "state" <> 'done';
CREATE INDEX "erasures_requested_idx" ON "erasures"("requested_at", "id");

-- Idempotency-Keys of erased orders, as keyed hashes: until their time is over, a repetition makes no second order.
CREATE TABLE "erased_keys" (
    "digest" BYTEA NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "erased_keys_pkey" PRIMARY KEY ("digest")
);
CREATE INDEX "erased_keys_expires_idx" ON "erased_keys"("expires_at");

-- The order numbers of customers who were erased, of orders that were not cancelled, as keyed hashes with the customer's: for ever.
CREATE TABLE "erased_order_numbers" (
    "digest" BYTEA NOT NULL,

    CONSTRAINT "erased_order_numbers_pkey" PRIMARY KEY ("digest")
);

-- A keyed hash, by this installation's own key: it tells nothing to whoever has the table without the key.
CREATE FUNCTION "erasure_digest"(VARIADIC "parts" TEXT[]) RETURNS BYTEA LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT sha256(k.bytes || sha256(k.bytes || convert_to(array_to_json("parts")::text, 'UTF8')))
    FROM (SELECT decode("identity_key", 'base64') AS bytes FROM "installation") AS k
$$;

-- What the app may not change by itself, it may have erased: of a customer who is being erased, and final orders, and nothing but
-- the parts that are about the person. It runs with the rights of the owner; whoever has the app's password can falsify nothing by it.
CREATE FUNCTION "erase_order_texts"("customer" UUID, "ids" UUID[], "actors" TEXT[])
    RETURNS TABLE ("events" INTEGER, "log_entries" INTEGER, "closings" INTEGER)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    own UUID[];
BEGIN
    SELECT coalesce(array_agg(o."id"), '{}') INTO own FROM "orders" o JOIN "customers" c ON o."customer_id" = c."reference"::text
        WHERE c."reference" = "customer" AND c."erasing_since" IS NOT NULL AND o."id" = ANY("ids") AND o."status" <> 'PENDING';
    UPDATE "outbox" e SET "data" = e."data" - 'externalOrderId'
            || CASE WHEN e."data" ? 'customerId' THEN jsonb_build_object('customerId', "customer") ELSE '{}' END,
            "correlation_id" = e."order_id"::text, "traceparent" = NULL
        WHERE e."order_id" = ANY(own) AND (e."data" ? 'externalOrderId' OR e."data" ->> 'customerId' <> "customer"::text
            OR e."correlation_id" <> e."order_id"::text OR e."traceparent" IS NOT NULL);
    GET DIAGNOSTICS "events" = ROW_COUNT;
    UPDATE "saga_log" l SET
            "actor" = CASE WHEN l."actor" = ANY("actors") THEN '[erased]' ELSE l."actor" END,
            "detail" = CASE WHEN l."detail" IS NOT NULL AND l."step" IN ('unwinding', 'resolve', 'dead-letter', 'reconciliation')
                THEN '[erased]' ELSE l."detail" END
        WHERE l."order_id" = ANY(own) AND (l."actor" = ANY("actors")
            OR (l."detail" <> '[erased]' AND l."step" IN ('unwinding', 'resolve', 'dead-letter', 'reconciliation')));
    GET DIAGNOSTICS "log_entries" = ROW_COUNT;
    UPDATE "reconciliation_closings" r SET "reason" = '[erased]' FROM "reconciliation_findings" f
        WHERE f."id" = r."finding_id" AND f."order_id" = ANY(own::text[]) AND r."reason" <> '[erased]';
    GET DIAGNOSTICS "closings" = ROW_COUNT;
    RETURN NEXT;
END $$;

-- The same of the audit trail, whose signed keyed hashes stay: reasons of acts on the customer's orders, and in refused calls and audited
-- reads, which only strangers and readers make, who called, from where, and the id of a person that a path named.
CREATE FUNCTION "erase_audit_texts"("customer" UUID, "names" TEXT[])
    RETURNS TABLE ("acts" INTEGER, "calls" INTEGER)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM "customers" c WHERE c."reference" = "customer" AND c."erasing_since" IS NOT NULL) THEN
        RAISE EXCEPTION 'this customer is not being erased' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE "audit_acts" a SET "reason" = NULL
        WHERE a."reason" IS NOT NULL AND (
            a."resource" IN (SELECT o."id"::text FROM "orders" o WHERE o."customer_id" = "customer"::text)
            OR a."route" ~ 'dead-letters' AND a."resource" IN (SELECT l."id"::text FROM "dead_letters" l JOIN "orders" o
                ON o."id" = l."order_id" WHERE o."customer_id" = "customer"::text));
    GET DIAGNOSTICS "acts" = ROW_COUNT;
    UPDATE "audit_calls" a SET "source" = CASE WHEN a."subject" = ANY("names") THEN NULL ELSE a."source" END,
            "subject" = CASE WHEN a."subject" = ANY("names") THEN NULL ELSE a."subject" END,
            "resource" = CASE WHEN a."resource" = ANY("names") THEN NULL ELSE a."resource" END
        WHERE a."kind" IN ('refused', 'read') AND (a."subject" = ANY("names") OR a."resource" = ANY("names"));
    GET DIAGNOSTICS "calls" = ROW_COUNT;
    RETURN NEXT;
END $$;

-- An erasure is never undone, and never forgotten; tombstones of order numbers are for ever.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE DELETE, TRUNCATE ON "erasures" FROM order_saga_app;
        REVOKE UPDATE, DELETE, TRUNCATE ON "erased_order_numbers" FROM order_saga_app;
        REVOKE UPDATE, TRUNCATE ON "erased_keys" FROM order_saga_app;
    END IF;
END $$;
