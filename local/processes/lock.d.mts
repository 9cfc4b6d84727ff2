export function tryLock(
  path: string,
): { release: () => void; owner?: undefined } | { owner: number; release?: undefined };
export function lock(path: string, onWait: (owner: number) => void): Promise<() => void>;
