export type PreviousRelease = { name: string; commit: string; missing?: undefined } | { missing: string };
export const root: string;
export function git(...args: string[]): string | undefined;
export function previousRelease(): PreviousRelease;
