-- The saga log that outlives Temporal's history: what each step came to, and who decided what. Written by the steps' own
-- statements; never changed afterwards.
CREATE TABLE "saga_log" (
    "id" BIGSERIAL NOT NULL,
    "order_id" UUID NOT NULL,
    "step" TEXT NOT NULL,
    "outcome" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL,
    "actor" TEXT,
    "detail" TEXT,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "saga_log_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "saga_log_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "saga_log_attempts_check" CHECK ("attempts" >= 0),
    CONSTRAINT "saga_log_detail_check" CHECK (length("detail") <= 1000),
    CONSTRAINT "saga_log_actor_check" CHECK (length("actor") <= 128)
);
CREATE INDEX "saga_log_order_idx" ON "saga_log"("order_id", "id");

CREATE FUNCTION "saga_log_refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the saga log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER "saga_log_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "saga_log"
    FOR EACH STATEMENT EXECUTE FUNCTION "saga_log_refuse_change"();

-- An operator may vouch that a charge, or a refund, was settled by hand.
ALTER TABLE "payments" DROP CONSTRAINT "payments_status_check";
ALTER TABLE "payments" ADD CONSTRAINT "payments_status_check"
    CHECK ("status" IN ('CHARGED', 'DECLINED', 'VOIDED', 'REFUNDING', 'REFUNDED', 'SETTLED_OUTSIDE'));
ALTER TABLE "payments" DROP CONSTRAINT "payments_reference_check";
ALTER TABLE "payments" ADD CONSTRAINT "payments_reference_check"
    CHECK ("status" IN ('DECLINED', 'VOIDED', 'SETTLED_OUTSIDE') OR "amount" = 0 OR "gateway_reference" IS NOT NULL);
