-- Roles and databases, by a superuser. The image runs this when its volume is new; run it again by hand to change
-- passwords, or once on a Postgres of your own. The passwords come from the environment.
--
--   order_saga_owner  owns our tables; only the migrations run as it
--   order_saga_app    reads and writes rows; what api, worker and relay run as
--   temporal          owns Temporal's two databases and cannot connect to ours
\set ON_ERROR_STOP on
\getenv owner_password ORDER_SAGA_OWNER_PASSWORD
\getenv app_password ORDER_SAGA_APP_PASSWORD
\getenv temporal_password TEMPORAL_DB_PASSWORD

SELECT format('CREATE ROLE %I', role)
FROM unnest(ARRAY['order_saga_owner', 'order_saga_app', 'temporal']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

ALTER ROLE order_saga_owner LOGIN PASSWORD :'owner_password';
ALTER ROLE order_saga_app LOGIN PASSWORD :'app_password';
ALTER ROLE temporal LOGIN PASSWORD :'temporal_password';

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('order_saga', 'order_saga_owner'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal'))
    AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

-- By default every role may connect to every database and make temporary tables there.
REVOKE ALL ON DATABASE order_saga, temporal, temporal_visibility FROM PUBLIC;
GRANT CONNECT ON DATABASE order_saga TO order_saga_app;

\connect order_saga
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO order_saga_app;
-- For what the owner's migrations make from now on; so a migration needs no GRANT.
ALTER DEFAULT PRIVILEGES FOR ROLE order_saga_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO order_saga_app;
ALTER DEFAULT PRIVILEGES FOR ROLE order_saga_owner IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO order_saga_app;
-- For what they have made before, if this runs late.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO order_saga_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO order_saga_app;
-- What is only ever added to. On a new volume they do not exist yet: their migration revokes it then.
SELECT format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM order_saga_app', name)
FROM unnest(ARRAY['audit_acts', 'audit_trail', 'reconciliation_closings', 'saga_log']) AS name
WHERE to_regclass(format('public.%I', name)) IS NOT NULL \gexec
-- What is never removed, or never changed.
SELECT format('REVOKE %s, TRUNCATE ON %I FROM order_saga_app', rights, name)
FROM (SELECT 'DELETE' AS rights, unnest(ARRAY['orders', 'order_lines', 'inventory', 'reservations', 'payments',
        'charge_refunds', 'charge_attempts', 'step_failures', 'dead_letters', 'installation', 'customers', 'customer_keys', 'erasures', 'erased_order_numbers', 'brake_periods']) AS name
    UNION ALL SELECT 'UPDATE', unnest(ARRAY['order_lines', 'outbox', 'audit_calls', 'erased_keys', 'erased_order_numbers'])
    -- Which migrations have run is the owner's to say.
    UNION ALL SELECT 'INSERT, UPDATE, DELETE', '_prisma_migrations') AS needless
WHERE to_regclass(format('public.%I', name)) IS NOT NULL \gexec
