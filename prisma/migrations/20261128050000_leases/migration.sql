-- Who does a work that one process at a time should do, and until when. Saves work only: whatever is done under a lease is
-- safe to do twice.
CREATE TABLE "leases" (
    "name" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "leases_pkey" PRIMARY KEY ("name")
);
