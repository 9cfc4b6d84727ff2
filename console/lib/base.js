/** Where the API is: one folder above the page, wherever a proxy has put both. */
export const base = new URL('..', location.href.split('#')[0]);
