-- Catalogue and stock. Every transition moves pieces between available, reserved and sold; none is made or lost.
CREATE TABLE "inventory" (
    "sku" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "unit_price" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "on_hand_total" BIGINT NOT NULL,
    "available" BIGINT NOT NULL,
    "reserved" BIGINT NOT NULL DEFAULT 0,
    "sold" BIGINT NOT NULL DEFAULT 0,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "inventory_pkey" PRIMARY KEY ("sku"),
    CONSTRAINT "inventory_sku_check" CHECK (length("sku") BETWEEN 1 AND 64),
    CONSTRAINT "inventory_unit_price_check" CHECK ("unit_price" BETWEEN 0 AND 99999999),
    CONSTRAINT "inventory_currency_check" CHECK ("currency" ~ '^[A-Z]{3}$'),
    CONSTRAINT "inventory_available_check" CHECK ("available" >= 0),
    CONSTRAINT "inventory_reserved_check" CHECK ("reserved" >= 0),
    CONSTRAINT "inventory_sold_check" CHECK ("sold" >= 0),
    CONSTRAINT "inventory_conservation_check" CHECK ("available" + "reserved" + "sold" = "on_hand_total")
) WITH (fillfactor = 50); -- updated twice per order: room for HOT updates on the page

CREATE TABLE "orders" (
    "id" UUID NOT NULL,
    "customer_id" TEXT NOT NULL,
    "external_order_id" TEXT,
    "status" TEXT NOT NULL DEFAULT 'PENDING',
    "unwinding_reason" TEXT,
    "cancellation_message" TEXT,
    "currency" CHAR(3) NOT NULL,
    "total_amount" BIGINT NOT NULL,
    "payment_method" TEXT NOT NULL,
    "correlation_id" TEXT NOT NULL,
    "traceparent" TEXT,
    "event_count" INTEGER NOT NULL,
    "event_xid" BIGINT NOT NULL,
    "saga_started_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "orders_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "orders_status_check" CHECK ("status" IN ('PENDING', 'CONFIRMED', 'CANCELLED')),
    CONSTRAINT "orders_unwinding_reason_check" CHECK ("unwinding_reason" IN
        ('OUT_OF_STOCK', 'UNKNOWN_SKU', 'PAYMENT_DECLINED', 'CANCELLED_BY_CUSTOMER', 'DEADLINE_EXCEEDED', 'OPERATOR')),
    CONSTRAINT "orders_cancelled_for_a_reason_check" CHECK ("status" <> 'CANCELLED' OR "unwinding_reason" IS NOT NULL),
    CONSTRAINT "orders_total_amount_check" CHECK ("total_amount" BETWEEN 0 AND 99999999999),
    CONSTRAINT "orders_currency_check" CHECK ("currency" ~ '^[A-Z]{3}$'),
    CONSTRAINT "orders_customer_id_check" CHECK (length("customer_id") BETWEEN 1 AND 128),
    CONSTRAINT "orders_external_order_id_check" CHECK (length("external_order_id") BETWEEN 1 AND 128)
) WITH (fillfactor = 70); -- updated three times in its life

-- A customer's own order number names one order. NULLs do not collide.
CREATE UNIQUE INDEX "orders_external_order_id_key" ON "orders"("customer_id", "external_order_id");
CREATE INDEX "orders_customer_newest_idx" ON "orders"("customer_id", "id" DESC);
CREATE INDEX "orders_status_newest_idx" ON "orders"("status", "id" DESC);
-- The sweep's work list: accepted, saga not yet seen to run. Empty in quiet times.
CREATE INDEX "orders_unstarted_idx" ON "orders"("created_at") WHERE "saga_started_at" IS NULL;

-- A final order stays final; a confirmed one may still be cancelled (refund, release). Last line of defence behind the
-- guarded updates in domain/.
CREATE FUNCTION "orders_refuse_illegal_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) IN (('PENDING', 'CONFIRMED'), ('PENDING', 'CANCELLED'), ('CONFIRMED', 'CANCELLED')) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER "orders_transition" BEFORE UPDATE OF "status" ON "orders"
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION "orders_refuse_illegal_transition"();

CREATE TABLE "order_lines" (
    "order_id" UUID NOT NULL,
    "sku" TEXT NOT NULL, -- no foreign key: a SKU may leave the catalogue, its orders stay
    "line_no" SMALLINT NOT NULL,
    "quantity" INTEGER NOT NULL,
    "unit_price" BIGINT NOT NULL,

    CONSTRAINT "order_lines_pkey" PRIMARY KEY ("order_id", "sku"),
    CONSTRAINT "order_lines_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "order_lines_quantity_check" CHECK ("quantity" BETWEEN 1 AND 1000),
    CONSTRAINT "order_lines_unit_price_check" CHECK ("unit_price" BETWEEN 0 AND 99999999)
);

CREATE TABLE "reservations" (
    "order_id" UUID NOT NULL,
    "sku" TEXT NOT NULL,
    "quantity" INTEGER NOT NULL,
    "state" TEXT NOT NULL,

    CONSTRAINT "reservations_pkey" PRIMARY KEY ("order_id", "sku"),
    CONSTRAINT "reservations_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "reservations_state_check" CHECK ("state" IN ('RESERVED', 'SOLD', 'RELEASED')),
    CONSTRAINT "reservations_quantity_check" CHECK ("quantity" BETWEEN 1 AND 1000)
) WITH (fillfactor = 80);

CREATE TABLE "payments" (
    "order_id" UUID NOT NULL,
    "status" TEXT NOT NULL,
    "amount" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "gateway_reference" TEXT,
    "refund_reference" TEXT,
    "decline_code" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "payments_pkey" PRIMARY KEY ("order_id"),
    CONSTRAINT "payments_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "payments_status_check" CHECK ("status" IN ('CHARGED', 'DECLINED', 'VOIDED', 'REFUNDING', 'REFUNDED')),
    CONSTRAINT "payments_amount_check" CHECK ("amount" BETWEEN 0 AND 99999999999),
    -- Money that moved has a reference; only a total of 0 skips the gateway.
    CONSTRAINT "payments_reference_check" CHECK ("status" IN ('DECLINED', 'VOIDED') OR "amount" = 0 OR "gateway_reference" IS NOT NULL)
);
CREATE UNIQUE INDEX "payments_gateway_reference_key" ON "payments"("gateway_reference");

CREATE TABLE "outbox" (
    "order_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "data" JSONB NOT NULL,
    "correlation_id" TEXT NOT NULL,
    "traceparent" TEXT,
    "occurred_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "feed_xid" BIGINT NOT NULL,
    "feed_position" BIGSERIAL NOT NULL,

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("order_id", "sequence"),
    CONSTRAINT "outbox_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "outbox_sequence_check" CHECK ("sequence" >= 1)
);
CREATE INDEX "outbox_feed_idx" ON "outbox"("feed_xid", "feed_position");

CREATE TABLE "relay_cursors" (
    "destination" TEXT NOT NULL,
    "feed_xid" BIGINT NOT NULL DEFAULT 0,
    "feed_position" BIGINT NOT NULL DEFAULT 0,
    "lease_owner" TEXT,
    "lease_until" TIMESTAMPTZ(3),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "relay_cursors_pkey" PRIMARY KEY ("destination")
) WITH (fillfactor = 50);

CREATE TABLE "idempotency_keys" (
    "caller" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "order_id" UUID NOT NULL,
    "response" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("caller", "route", "key"),
    CONSTRAINT "idempotency_keys_key_check" CHECK (length("key") BETWEEN 1 AND 255)
);
CREATE INDEX "idempotency_keys_expires_idx" ON "idempotency_keys"("expires_at");
