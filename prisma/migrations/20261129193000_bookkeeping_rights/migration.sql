-- Prisma makes this table before the first migration, so default privileges (deploy/postgres/roles.sql) let the app write it:
-- whoever has its password could have a migration skipped, or run again. It may still read which ones there are.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') AND to_regclass('public._prisma_migrations') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON public."_prisma_migrations" FROM order_saga_app;
    END IF;
END $$;
