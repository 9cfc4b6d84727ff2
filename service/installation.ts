/** INSTALLATION_ID: the name of this installation at the payment gateway, for orders from now on. */
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import { nameInstallation } from '../domain/installation.js';

const ASK_AGAIN_MS = 1_000;

/** A database that does not answer stops no process from starting; orders accepted before it answers have the old name. */
export async function useInstallationId(db: Database, id: string, logger: Logger): Promise<void> {
  try {
    await nameInstallation(db, id);
  } catch (err) {
    logger.warn({ err }, 'the database does not answer: INSTALLATION_ID is not in effect yet');
    setTimeout(() => void useInstallationId(db, id, logger), ASK_AGAIN_MS).unref();
  }
}
