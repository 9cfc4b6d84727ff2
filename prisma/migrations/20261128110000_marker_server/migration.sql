-- When the database server started from which the marker's last word was told: no copy of a data directory shares it, since
-- a copy is served by a server of its own. Null until the next word; an older build beside leaves it as it is.
ALTER TABLE "installation" ADD COLUMN "server_started_at" TIMESTAMPTZ(6);
