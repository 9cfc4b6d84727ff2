export function birthOf(pid: number): string | undefined;
export function commandLineOf(pid: number): string | undefined;
