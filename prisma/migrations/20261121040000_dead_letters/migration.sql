-- Each destination has 16 cursors, one per partition of the orders, so that several relays share its work. A destination
-- that was served as a whole goes on at the same place in each of them. A relay of before knows nothing of partitions: it
-- fails, moving nothing, until it is replaced.
ALTER TABLE "relay_cursors" ADD COLUMN "partition" SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE "relay_cursors" ADD COLUMN "lease_epoch" BIGINT NOT NULL DEFAULT 0;
ALTER TABLE "relay_cursors" DROP CONSTRAINT "relay_cursors_pkey";
ALTER TABLE "relay_cursors" ADD CONSTRAINT "relay_cursors_pkey" PRIMARY KEY ("destination", "partition");
ALTER TABLE "relay_cursors" ALTER COLUMN "partition" DROP DEFAULT;
UPDATE "relay_cursors" SET "lease_owner" = NULL, "lease_until" = NULL;
INSERT INTO "relay_cursors" ("destination", "partition", "feed_xid", "feed_position")
    SELECT "destination", p, "feed_xid", "feed_position" FROM "relay_cursors", generate_series(1, 15) AS p;
ALTER TABLE "relay_cursors" ADD CONSTRAINT "relay_cursors_partition_check" CHECK ("partition" BETWEEN 0 AND 15);

-- The feed, partition by partition: the last hex digit of an order's id, which is random (UUIDv7) and means the same
-- in every version of Postgres, which a hash function's value need not.
CREATE INDEX "outbox_partition_idx" ON "outbox"((get_byte(uuid_send("order_id"), 15) & 15), "feed_xid", "feed_position");

-- Which relay processes live, per destination: each takes its share of the partitions.
CREATE TABLE "relay_members" (
    "destination" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "alive_until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "relay_members_pkey" PRIMARY KEY ("destination", "owner")
) WITH (fillfactor = 50);

-- Events that a destination will not take. While a letter is not closed, its order is held at that destination: the
-- cursor passes over the order's events, and they wait in the outbox.
CREATE TABLE "dead_letters" (
    "id" BIGSERIAL NOT NULL,
    "destination" TEXT NOT NULL,
    "order_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "cause" TEXT NOT NULL,
    "error" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'PARKED',
    "decided_by" TEXT,
    "reason" TEXT,
    "parked_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "closed_at" TIMESTAMPTZ(3),

    CONSTRAINT "dead_letters_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "dead_letters_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE RESTRICT ON UPDATE RESTRICT,
    CONSTRAINT "dead_letters_cause_check" CHECK ("cause" IN ('rejected', 'unavailable-for-this-event', 'too-large', 'invalid')),
    CONSTRAINT "dead_letters_state_check" CHECK ("state" IN ('PARKED', 'REPLAYING', 'DELIVERED', 'DISCARDED')),
    CONSTRAINT "dead_letters_closed_check" CHECK (CASE "state" WHEN 'DELIVERED' THEN "closed_at" IS NOT NULL
        WHEN 'DISCARDED' THEN true ELSE "closed_at" IS NULL END),
    CONSTRAINT "dead_letters_discarded_check" CHECK ("state" <> 'DISCARDED' OR ("decided_by" IS NOT NULL AND "reason" IS NOT NULL)),
    CONSTRAINT "dead_letters_error_check" CHECK (length("error") <= 500),
    CONSTRAINT "dead_letters_decided_by_check" CHECK (length("decided_by") <= 128),
    CONSTRAINT "dead_letters_reason_check" CHECK (length("reason") <= 200)
);
-- An order is held at its first event that was not taken, and there only. Next to empty.
CREATE UNIQUE INDEX "dead_letters_held_key" ON "dead_letters"("destination", "order_id") WHERE "closed_at" IS NULL;
-- What relays have to work off. Empty in quiet times, however many letters wait for someone.
CREATE INDEX "dead_letters_decided_idx" ON "dead_letters"("destination", "updated_at")
    WHERE "closed_at" IS NULL AND "state" <> 'PARKED';
CREATE INDEX "dead_letters_order_idx" ON "dead_letters"("order_id");
