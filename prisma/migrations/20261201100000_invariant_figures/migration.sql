-- How many violations of each invariant the verifier knows of, for processes that do not verify.
CREATE TABLE "invariant_figures" (
    "invariant" TEXT NOT NULL,
    "violations" INTEGER NOT NULL,
    "since" TIMESTAMPTZ(3),
    "looked_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "invariant_figures_pkey" PRIMARY KEY ("invariant")
);
