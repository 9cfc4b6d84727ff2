-- An event may be about a customer: then "order_id" is the customer's reference. What an event is about is looked at by the verification.
ALTER TABLE "outbox" DROP CONSTRAINT "outbox_order_id_fkey";
