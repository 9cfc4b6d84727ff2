-- An event's moment is that of its insertion, not of its transaction's start: an event whose transaction took its id after a
-- moment cannot be of before it. Upon that rests what the feed says of its completeness (asOf).
ALTER TABLE "outbox" ALTER COLUMN "occurred_at" SET DEFAULT clock_timestamp();
