/** Runs Prisma's CLI. @throws with the exit status */
export function prisma(args: string[], options?: { env?: NodeJS.ProcessEnv; quiet?: boolean }): void;
