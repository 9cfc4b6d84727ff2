-- When a destination took something last, whichever relay sent it. Relays of the release before do not write it, and need not.
ALTER TABLE "relay_destinations" ADD COLUMN "taken_at" TIMESTAMPTZ(3);
