-- Giving back, counted per charge: an order may have had two, and the failures of one say nothing of the other. As the columns
-- of the same names in payments, which go on saying it of the charge on record, for the release before this one. No row =
-- nothing has failed yet.
CREATE TABLE "charge_refunds" (
    "gateway_reference" TEXT NOT NULL,
    "order_id" UUID NOT NULL,
    "refund_no" INTEGER NOT NULL,
    "refund_failures" INTEGER NOT NULL,
    "refund_failures_seen" INTEGER NOT NULL,
    "refunds_allowed" INTEGER NOT NULL,
    "refund_word" TEXT,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "charge_refunds_pkey" PRIMARY KEY ("gateway_reference", "order_id"),
    CONSTRAINT "charge_refunds_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT
);

-- A refund that waits for its customer after the order has ended.
ALTER TABLE "reconciliation_findings" DROP CONSTRAINT "reconciliation_findings_kind_check";
ALTER TABLE "reconciliation_findings" ADD CONSTRAINT "reconciliation_findings_kind_check" CHECK ("kind" IN ('UNDECIDED',
    'LATE_CHARGE', 'DOUBLE_CHARGE', 'ORPHAN_CHARGE', 'OPEN_INTENT', 'LOST_REFUND', 'SETTLED_OUTSIDE', 'AMOUNT_MISMATCH',
    'REFUNDED_AT_GATEWAY', 'MISSING_CHARGE', 'UNMARKED_CHARGE', 'REFUND_FAILED', 'REFUND_WAITS', 'DISPUTED', 'ACCOUNT_HELD'));
