-- How far what stood plain before there was encryption has been sealed: a pass over customers, and one over orders. That there is a row
-- says that clients' ids may be sealed, too, which the release before cannot read.
CREATE TABLE "sealing_passes" (
    "name" TEXT NOT NULL,
    -- Something plain may have been stored until then.
    "opened_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    "began_at" TIMESTAMPTZ(3),
    -- The last row that the pass has looked at.
    "place" UUID,
    "looked" BIGINT NOT NULL DEFAULT 0,
    "sealed" BIGINT NOT NULL DEFAULT 0,
    "done_at" TIMESTAMPTZ(3),

    CONSTRAINT "sealing_passes_pkey" PRIMARY KEY ("name"),
    CONSTRAINT "sealing_passes_name_check" CHECK ("name" IN ('customers', 'orders'))
);

-- What a client has called its customer is never taken for something sealed; from now on it is stored so.
-- lint allow data: ids that begin so, of which there are none but those of whoever tries
UPDATE "customers" SET "client_id" = 'plain:v1:' || "client_id" WHERE "client_id" LIKE 'sealed:v1:%' OR "client_id" LIKE 'plain:v1:%';
