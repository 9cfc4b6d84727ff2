/** Its message is a sentence that names variable and path, never the content. */
export class SecretFileError extends Error {}
/** @param variable `<VARIABLE>_FILE` @returns what is in it, without the line break at its end */
export function readSecretFile(variable: string, path: string): string;
/** Whether every user of this machine may read it. */
export function isReadByAll(path: string): boolean;
/** @returns by variable: the values that files give, their paths, and a sentence for each that is refused */
export function secretsFromFiles(
  names: readonly string[],
  env: NodeJS.ProcessEnv,
): { values: Record<string, string>; paths: Record<string, string>; faults: Record<string, string> };
