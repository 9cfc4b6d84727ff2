-- The audit trail is searched by who and by what, newest first; whatever else is asked for is looked for among those.
CREATE INDEX CONCURRENTLY "audit_acts_by_subject_idx" ON "audit_acts"("subject", "id");
