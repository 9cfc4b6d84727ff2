-- How far the gateway's ledger has been compared with ours, and which process does it now. For each list: where the next
-- pass begins and the newest that was seen (the gateway's clock), and since when that has been the newest (our clock).
CREATE TABLE "reconciliation_cursors" (
    "gateway" TEXT NOT NULL,
    "charges_from" TIMESTAMPTZ(3) NOT NULL,
    "charges_newest" TIMESTAMPTZ(3) NOT NULL,
    "charges_moved_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "refunds_from" TIMESTAMPTZ(3) NOT NULL,
    "refunds_newest" TIMESTAMPTZ(3) NOT NULL,
    "refunds_moved_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "sweep_since" TIMESTAMPTZ(3),
    "sweep_after" TEXT,
    "sweep_due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lease_owner" TEXT,
    "lease_until" TIMESTAMPTZ(3),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reconciliation_cursors_pkey" PRIMARY KEY ("gateway")
) WITH (fillfactor = 50);

-- What the comparison has found and what was done about it; also what it has in hand. No foreign key: an orphaned charge
-- names an order that does not exist, and may not even name it by a UUID.
CREATE TABLE "reconciliation_findings" (
    "id" BIGSERIAL NOT NULL,
    "kind" TEXT NOT NULL,
    "gateway_reference" TEXT NOT NULL,
    "order_id" TEXT NOT NULL,
    "amount" BIGINT NOT NULL,
    "currency" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "detail" TEXT,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reconciliation_findings_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "reconciliation_findings_kind_check" CHECK ("kind" IN ('UNDECIDED', 'LATE_CHARGE', 'DOUBLE_CHARGE',
        'ORPHAN_CHARGE', 'OPEN_INTENT', 'LOST_REFUND', 'SETTLED_OUTSIDE', 'AMOUNT_MISMATCH', 'REFUNDED_AT_GATEWAY', 'MISSING_CHARGE')),
    CONSTRAINT "reconciliation_findings_action_check" CHECK ("action" IN
        ('waiting', 'refunding', 'refunded', 'cancelling', 'cancelled', 'reported')),
    CONSTRAINT "reconciliation_findings_waiting_check" CHECK (("kind" = 'UNDECIDED') = ("action" = 'waiting')),
    CONSTRAINT "reconciliation_findings_detail_check" CHECK (length("detail") <= 1000)
);
CREATE UNIQUE INDEX "reconciliation_findings_subject_key" ON "reconciliation_findings"("kind", "gateway_reference");
CREATE INDEX "reconciliation_findings_order_idx" ON "reconciliation_findings"("order_id");
-- The work in hand. Empty in quiet times.
CREATE INDEX "reconciliation_findings_unfinished_idx" ON "reconciliation_findings"("updated_at")
    WHERE "action" IN ('waiting', 'refunding', 'cancelling');

-- Charges by the time we recorded them: is each of them still in the gateway's ledger?
CREATE INDEX "payments_created_idx" ON "payments"("created_at");
-- Listed apart, since no ledger vouches for them. Next to empty.
CREATE INDEX "payments_settled_outside_idx" ON "payments"("updated_at") WHERE "status" = 'SETTLED_OUTSIDE';
