/**
 * SHA-256 of the Temporal CLI's archives, as their publisher states them: written by `npm run pin`, by no one else, and only from what
 * the publisher has answered. Empty: it has not been asked yet, so that each download is compared with what the release states then.
 */
export const checksums: Readonly<Record<string, string>> = {};
