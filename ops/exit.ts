/** How a command ends. The numbers are part of what scripts rely on; `--help` lists them. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  nothingMatched: 3,
  notConfirmed: 4,
  /** EX_UNAVAILABLE of sysexits.h */
  unavailable: 69,
  /** EX_CONFIG of sysexits.h, as the service's processes end then */
  restored: 78,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_HELP = `Exit codes
   0  everything was done
   1  something failed, was refused, or had come to its end before
   2  usage or configuration is wrong
   3  nothing matched
   4  not confirmed
  69  Temporal, the database, the erasure journal or a key is away
  78  the database was restored to before an erasure, or the erasure journal is not what was written: nothing was done`;

/** Ends the command with a sentence and a code, without a stack: nothing is wrong with the program. */
export class OpsError extends Error {
  override name = 'OpsError';
  constructor(
    message: string,
    readonly exitCode: ExitCode,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export const usage = (message: string): OpsError => new OpsError(message, EXIT.usage);
export const nothingMatched = (message: string): OpsError => new OpsError(message, EXIT.nothingMatched);
export const unavailable = (message: string, cause?: unknown): OpsError =>
  new OpsError(message, EXIT.unavailable, { cause });
