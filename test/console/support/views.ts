/** Every view of the console, by the list that the page itself has (console/views/index.js). */
import type { Page } from 'playwright-core';

/**
 * @param page of the console
 * @param ids what to show where a view is of one thing, by its path: `/orders/:id` → the id of an order
 * @returns the address behind `#` of each view
 * @throws Error if a view is of one thing, and `ids` has none for it
 */
export async function addressesOfViews(page: Page, ids: Record<string, string>): Promise<string[]> {
  const paths = await page.evaluate<string[]>(
    "import(new URL('views/index.js', location.href.split('#')[0])).then(({ views }) => views.map(({ path }) => path))",
  );
  return paths.map((path) => {
    if (!path.includes(':')) return path;
    const id = ids[path];
    if (id === undefined) throw new Error(`A view at ${path}: this test knows nothing to show there.`);
    return path.replace(/:\w+/, id);
  });
}
