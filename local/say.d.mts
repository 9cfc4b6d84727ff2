export function say(text: string): void;
export class SetupError extends Error {}
