import type { PreviousRelease } from './previous-release.mjs';

export function problems(folder?: string, previous?: PreviousRelease): Promise<string[]>;
