-- Operations: one decision of an operator on many sagas or dead letters, which the service carries out item by item.
CREATE TABLE "operations" (
    "id" UUID NOT NULL,
    "action" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'previewed',
    -- What was asked for. What it came to are the items, which nothing is added to.
    "selection" JSONB NOT NULL,
    "total" INTEGER NOT NULL,
    -- What is at stake of what is to be acted on, per currency; and why the rest is not, as the preview found.
    "amounts" JSONB NOT NULL,
    "skipped" JSONB NOT NULL,
    "previewed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    "previewed_by" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3),
    "started_by" TEXT,
    "reason" TEXT,
    "canary" INTEGER[] NOT NULL DEFAULT '{}',
    "rate_per_second" DOUBLE PRECISION NOT NULL DEFAULT 5,
    -- The process that carries it out: items are begun and concluded in its name only.
    "runner" TEXT,
    "paused_at" TIMESTAMPTZ(3),
    -- Null while it is paused: it has paused by itself.
    "paused_by" TEXT,
    "paused_because" TEXT,
    "aborted_by" TEXT,
    "abort_reason" TEXT,
    "ended_at" TIMESTAMPTZ(3),
    -- Once no item changes any more: how many are in which state.
    "settled_counts" JSONB,

    CONSTRAINT "operations_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "operations_action_check" CHECK ("action" IN ('retry', 'skip', 'compensate', 'replay', 'discard')),
    CONSTRAINT "operations_state_check" CHECK ("state" IN ('previewed', 'running', 'paused', 'aborted', 'finished')),
    CONSTRAINT "operations_total_check" CHECK ("total" BETWEEN 1 AND 10000),
    CONSTRAINT "operations_canary_check" CHECK (cardinality("canary") <= 100 AND 0 < ALL ("canary")),
    CONSTRAINT "operations_rate_check" CHECK ("rate_per_second" > 0),
    CONSTRAINT "operations_started_check" CHECK (("state" = 'previewed') = ("started_at" IS NULL)
        AND ("started_at" IS NULL) = ("started_by" IS NULL) AND ("started_at" IS NULL) = ("reason" IS NULL)),
    CONSTRAINT "operations_paused_check" CHECK (("state" = 'paused') = ("paused_at" IS NOT NULL) AND ("paused_at" IS NULL) = ("paused_because" IS NULL)),
    CONSTRAINT "operations_aborted_check" CHECK (("state" = 'aborted') = ("aborted_by" IS NOT NULL) AND ("aborted_by" IS NULL) = ("abort_reason" IS NULL)),
    CONSTRAINT "operations_text_check" CHECK (length("previewed_by") <= 128 AND length("started_by") <= 128 AND length("paused_by") <= 128
        AND length("aborted_by") <= 128 AND length("reason") <= 200 AND length("paused_because") <= 200 AND length("abort_reason") <= 200)
);
CREATE INDEX "operations_previewed_at_idx" ON "operations"("previewed_at" DESC, "id" DESC);
CREATE INDEX "operations_unsettled_idx" ON "operations"("state") WHERE "settled_counts" IS NULL;

-- What an operation is about, frozen when it was previewed, and what has come of each.
CREATE TABLE "operation_items" (
    "operation_id" UUID NOT NULL,
    "no" INTEGER NOT NULL,
    "order_id" UUID NOT NULL,
    "workflow_id" TEXT,
    "dead_letter_id" BIGINT,
    "amount" BIGINT,
    "currency" CHAR(3),
    "seen_state" TEXT,
    "seen_step" TEXT,
    "seen_failure" TEXT,
    "state" TEXT NOT NULL DEFAULT 'open',
    "outcome" TEXT,
    "message" TEXT,
    -- Before it is decided on: whoever takes over from a process that has died sends it again, under the same id.
    "begun_at" TIMESTAMPTZ(3),
    -- The run of the saga that it was sent to.
    "sent_to" TEXT,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "operation_items_pkey" PRIMARY KEY ("operation_id", "no"),
    CONSTRAINT "operation_items_operation_id_fkey" FOREIGN KEY ("operation_id") REFERENCES "operations"("id") ON DELETE CASCADE ON UPDATE RESTRICT,
    CONSTRAINT "operation_items_state_check" CHECK ("state" IN ('open', 'reached', 'waits', 'skipped', 'already-done', 'refused', 'failed', 'unanswered')),
    CONSTRAINT "operation_items_ended_check" CHECK (("state" = 'open') = ("ended_at" IS NULL)),
    CONSTRAINT "operation_items_text_check" CHECK (length("message") <= 500)
);
CREATE INDEX "operation_items_state_idx" ON "operation_items"("operation_id", "state", "no");
CREATE INDEX "operation_items_open_idx" ON "operation_items"("order_id") WHERE "state" = 'open';
