-- The gateway's account is not ours alone: what we make there carries the id of this installation. It is made once, unless
-- INSTALLATION_ID gives one, and kept. `word` is what the marker on the account was last made to say, `offered` what it may have
-- been made to say by a process that died or sleeps: a database that was restored or copied does not know the account's latest
-- word, or finds itself in another "cluster" than the word was told from, and moves no money until it is adopted. An empty word: it has just been, and takes the marker over.
CREATE TABLE "installation" (
    "singleton" BOOLEAN NOT NULL DEFAULT true,
    "id" TEXT NOT NULL,
    "marker" TEXT,
    "word" TEXT,
    "cluster" TEXT,
    "offered" TEXT[] NOT NULL DEFAULT '{}',
    "spoken_at" TIMESTAMPTZ(3),
    "held_since" TIMESTAMPTZ(3),
    "held_because" TEXT,
    "adopted_at" TIMESTAMPTZ(3),
    "adopted_by" TEXT,
    "adopted_for" TEXT,

    CONSTRAINT "installation_pkey" PRIMARY KEY ("singleton"),
    CONSTRAINT "installation_singleton_check" CHECK ("singleton"),
    CONSTRAINT "installation_id_check" CHECK ("id" ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'),
    CONSTRAINT "installation_word_check" CHECK (("marker" IS NULL) = ("word" IS NULL))
);

INSERT INTO "installation" ("id") VALUES (gen_random_uuid()::text);

-- What is sent to charge an order depends on what was fixed at its acceptance only. Version 1, also of every order that an
-- older build accepts: the order's id. Version 2: the installation's id as well.
ALTER TABLE "orders" ADD COLUMN "charge_version" SMALLINT NOT NULL DEFAULT 1;
ALTER TABLE "orders" ADD COLUMN "installation_id" TEXT;
-- NOT VALID: no look at the old rows, which all have the default, and so no lock that is held for long.
ALTER TABLE "orders" ADD CONSTRAINT "orders_charge_version_check"
    CHECK ("charge_version" IN (1, 2) AND ("charge_version" = 1) = ("installation_id" IS NULL)) NOT VALID;

-- When attempts at a charge ran that came to nothing known: only then can there be a charge that nobody has heard of. The
-- very first attempt of an order is noted after it has failed, every later one before it begins.
CREATE TABLE "charge_attempts" (
    "id" BIGSERIAL NOT NULL,
    "order_id" UUID NOT NULL,
    "began_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "charge_attempts_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "charge_attempts_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT
);
CREATE INDEX "charge_attempts_order_idx" ON "charge_attempts"("order_id");

-- Giving back. `refund_no` counts spent keys, `refund_failures` refunds that have definitely failed; another refund is made
-- while these are fewer than `refunds_allowed`. `refund_failures_seen`: those of them that the gateway's list shows; others it refused. `refund_word` is the operator's word that allowed the last one.
ALTER TABLE "payments" ADD COLUMN "refund_no" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "payments" ADD COLUMN "refund_failures" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "payments" ADD COLUMN "refund_failures_seen" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "payments" ADD COLUMN "refunds_allowed" INTEGER NOT NULL DEFAULT 2;
ALTER TABLE "payments" ADD COLUMN "refund_word" TEXT;
-- What refunds of ours have returned; others may have given back before.
ALTER TABLE "payments" ADD COLUMN "refunded_amount" BIGINT;
-- Where the look-up of a charge that nobody has heard of goes on.
ALTER TABLE "payments" ADD COLUMN "look_up_since" TIMESTAMPTZ(3);
ALTER TABLE "payments" ADD COLUMN "look_up_after" TEXT;

-- What a pass of the reconciliation could not read to its end, and what is read again and again: each goes on by itself from
-- the page it was at. Times by the gateway's clock, but for `due_at`.
CREATE TABLE "reconciliation_scans" (
    "scan" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3),
    "until" TIMESTAMPTZ(3),
    "after" TEXT,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reconciliation_scans_pkey" PRIMARY KEY ("scan")
) WITH (fillfactor = 50);

ALTER TABLE "reconciliation_findings" DROP CONSTRAINT "reconciliation_findings_kind_check";
ALTER TABLE "reconciliation_findings" ADD CONSTRAINT "reconciliation_findings_kind_check" CHECK ("kind" IN ('UNDECIDED',
    'LATE_CHARGE', 'DOUBLE_CHARGE', 'ORPHAN_CHARGE', 'OPEN_INTENT', 'LOST_REFUND', 'SETTLED_OUTSIDE', 'AMOUNT_MISMATCH',
    'REFUNDED_AT_GATEWAY', 'MISSING_CHARGE', 'UNMARKED_CHARGE', 'REFUND_FAILED', 'DISPUTED', 'ACCOUNT_HELD'));
-- An account that is held is about no order.

-- An operator may also have a machine go on with a refund that it has given up.
ALTER TABLE "reconciliation_closings" DROP CONSTRAINT "reconciliation_closings_action_check";
ALTER TABLE "reconciliation_closings" ADD CONSTRAINT "reconciliation_closings_action_check"
    CHECK ("action" IN ('refunded', 'cancelled', 'refunding'));
