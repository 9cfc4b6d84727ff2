-- The audit trail is searched by who and by what, newest first; whatever else is asked for is looked for among those.
CREATE INDEX CONCURRENTLY "audit_calls_by_resource_idx" ON "audit_calls"("resource", "id");
