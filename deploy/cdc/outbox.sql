-- What a connector needs of the service's database (docs/cdc.md). Once, by an administrator, on a server with wal_level=logical:
--   psql "$ADMIN_DATABASE_URL" -v ON_ERROR_STOP=1 -v password="$CDC_PASSWORD" -f deploy/cdc/outbox.sql
-- From the last statement on the server keeps its WAL until the connector has read it: watch the slot, and drop it when there is no connector.
CREATE ROLE order_saga_cdc LOGIN REPLICATION PASSWORD :'password';
DO $$BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO order_saga_cdc', current_database()); END$$;
GRANT USAGE ON SCHEMA public TO order_saga_cdc;
GRANT SELECT ON "outbox" TO order_saga_cdc;
CREATE PUBLICATION order_saga_outbox FOR TABLE "outbox" WITH (publish = 'insert');
SELECT pg_create_logical_replication_slot('order_saga_outbox', 'pgoutput');
