/** The neighbours that ALLOW_PLAINTEXT names. */
export function allowedInPlainText(env: NodeJS.ProcessEnv): string[];
/** @param remedy how to have TLS, as an imperative */
export function plainTextSentence(variable: string, host: string, word: string, remedy: string): string;
/** Whether what is sent to this host stays on this machine: localhost, 127.0.0.0/8, ::1, a socket. */
export function isOnThisMachine(host: string): boolean;
