-- Up to which time something is done, for whichever process goes on with it: retention, and the passes of the verification.
CREATE TABLE "progress_marks" (
    "name" TEXT NOT NULL,
    "reached_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "progress_marks_pkey" PRIMARY KEY ("name")
);

-- What has left the feed until now is taken for retention's, as it was until now.
INSERT INTO "progress_marks" ("name", "reached_at") SELECT 'events-purged', "occurred_at" FROM "feed_horizon";
