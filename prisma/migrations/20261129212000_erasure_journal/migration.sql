-- Up to which entry of the erasure journal this database knows all erasures: what a restore takes back with it, so that the start
-- after it reads on from there. No row = nothing was read yet.
CREATE TABLE "erasure_journal_mark" (
    "singleton" BOOLEAN NOT NULL DEFAULT true,
    "position" BIGINT NOT NULL,
    "hash" TEXT NOT NULL,
    -- Where that was true: a server that was started anew, or tables that were made anew, may be an older state.
    "incarnation" TEXT NOT NULL,
    "read_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),

    CONSTRAINT "erasure_journal_mark_pkey" PRIMARY KEY ("singleton"),
    CONSTRAINT "erasure_journal_mark_singleton_check" CHECK ("singleton")
);
