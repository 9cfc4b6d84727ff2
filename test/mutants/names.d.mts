export function patternOf(name: string): string;
