-- For how long a destination has taken nothing of a relay, why, and until when it has asked to be left alone.
ALTER TABLE "relay_members"
  ADD COLUMN "failing_since" TIMESTAMPTZ(3),
  ADD COLUMN "error" TEXT,
  ADD COLUMN "left_alone_until" TIMESTAMPTZ(3);
