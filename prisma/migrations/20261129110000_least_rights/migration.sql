-- Default privileges (deploy/postgres/roles.sql) let the app change and remove rows everywhere. What the code never removes, or
-- never changes, it need not be able to: neither can whoever gets hold of its password.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_saga_app') THEN
        REVOKE DELETE, TRUNCATE ON "orders", "order_lines", "inventory", "reservations", "payments", "charge_refunds",
            "charge_attempts", "dead_letters", "installation" FROM order_saga_app;
        REVOKE UPDATE ON "order_lines", "outbox" FROM order_saga_app;
    END IF;
END $$;
