export function endOfLife(version: string): string | undefined;
