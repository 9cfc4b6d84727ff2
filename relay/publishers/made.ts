/** What a publisher has made is said; and that it should not have been missing, where the destination has taken events before. */
import type { Logger } from 'pino';
import type { Database } from '../../domain/database.js';
import { readTakenAt } from '../../domain/destinations.js';

/** @returns what is to be told of each thing that was made; it throws nothing */
export const sayWhatIsMade =
  (db: Database, logger: Logger) =>
  (destination: string, what: string): void => {
    void readTakenAt(db, destination).then(
      (takenAt) => {
        if (takenAt === null) logger.info({ destination, what }, 'what a destination lacked was made');
        else logger.warn({ destination, what, takenAt }, VANISHED);
      },
      (err: unknown) => logger.warn({ err, destination, what }, 'what a destination lacked was made'),
    );
  };

const VANISHED =
  'what a destination had is gone, and was made anew, empty: what it took before is not sent again by itself; see "A destination is to be sent all events again" in the runbook';
