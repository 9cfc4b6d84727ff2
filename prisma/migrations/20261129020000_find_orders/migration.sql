-- Finding an order by what a caller has in hand: the shop's own number, whatever has become of the order; the correlation id of a
-- request or of a log line; the gateway's id of a refund, or of a charge that is
-- only in a finding (that of a payment is unique already). By time it is found by its id.
CREATE INDEX "orders_external_order_id_idx" ON "orders"("external_order_id", "id" DESC) WHERE "external_order_id" IS NOT NULL;
CREATE INDEX "orders_correlation_id_idx" ON "orders"("correlation_id", "id" DESC);
CREATE INDEX "payments_refund_reference_idx" ON "payments"("refund_reference") WHERE "refund_reference" IS NOT NULL;
CREATE INDEX "reconciliation_findings_reference_idx" ON "reconciliation_findings"("gateway_reference");
