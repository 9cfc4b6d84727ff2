/** The catalogue to try things with: enough of some products, the last piece of one, none of another. */

/** What of a Postgres client this needs; pg's Client and Pool have it. */
type Client = { query: (sql: string, values: unknown[]) => Promise<{ rowCount: number | null }> };

/** Prices in the currency's minor unit. */
const CATALOGUE = [
  { sku: 'SKU-KEYBOARD', name: 'Mechanical keyboard', unitPrice: 4_900, currency: 'USD', onHand: 100_000 },
  { sku: 'SKU-MOUSE', name: 'Wireless mouse', unitPrice: 2_500, currency: 'USD', onHand: 100_000 },
  { sku: 'SKU-MONITOR', name: '27-inch monitor', unitPrice: 19_900, currency: 'USD', onHand: 100_000 },
  { sku: 'SKU-CABLE', name: 'USB-C cable', unitPrice: 900, currency: 'USD', onHand: 100_000 },
  { sku: 'SKU-LAST-ONE', name: 'Signed print, last piece', unitPrice: 9_900, currency: 'USD', onHand: 1 },
  { sku: 'SKU-SOLD-OUT', name: 'Mug, sold out', unitPrice: 1_200, currency: 'USD', onHand: 0 },
  { sku: 'SKU-FREEBIE', name: 'Sticker, free of charge', unitPrice: 0, currency: 'USD', onHand: 100_000 },
  { sku: 'SKU-TEE-EUR', name: 'T-shirt, sold in euros', unitPrice: 2_000, currency: 'EUR', onHand: 100_000 },
];

/** Adds the catalogue where there is none at all. @returns how many products it added */
export async function seed(client: Client): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO inventory (sku, name, unit_price, currency, on_hand_total, available)
     SELECT sku, name, "unitPrice", currency, "onHand", "onHand"
     FROM jsonb_to_recordset($1::jsonb) AS product(sku text, name text, "unitPrice" bigint, currency text, "onHand" bigint)
     WHERE NOT EXISTS (SELECT FROM inventory)
     ON CONFLICT (sku) DO NOTHING`,
    [JSON.stringify(CATALOGUE)],
  );
  return rowCount ?? 0;
}
