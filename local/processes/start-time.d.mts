export function startTimeOf(pid: number): string | undefined;
export function commandLineOf(pid: number): string | undefined;
