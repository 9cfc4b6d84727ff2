-- As in "outbox": the event that is not taken may be about a customer.
ALTER TABLE "dead_letters" DROP CONSTRAINT "dead_letters_order_id_fkey";
