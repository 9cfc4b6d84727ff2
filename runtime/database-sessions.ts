/**
 * With what sessions of Postgres begin: DATABASE_URL as it is at that moment, since its file and the certificates that it names
 * may change. A password is changed in two places, the file and the role, and never in both at once: until a session has begun
 * with the new one, the one before is tried as well.
 */
import pg from 'pg';
import { sessionConfig } from '../prisma/session.mjs';

/** A function where it comes from a file, which may change. */
export type DatabaseUrl = string | (() => string);

/** invalid_password, and what Postgres says of a user that may not log in any more, or not yet. */
const REFUSED = new Set(['28P01', '28000']);
/** Refused with the new one, then with the one before, since the role has changed meanwhile: then the new one is right. */
const TRIES_MAX = 3;

export type Sessions = {
  /** Begins with the present URL; what pg's pool makes its connections of. */
  Client: typeof pg.Client;
  /** Tries again where another password may be the right one. `connect` must make a new client each time. */
  tryAll<T>(connect: () => Promise<T>): Promise<T>;
};

export function sessionsOf(url: DatabaseUrl): Sessions {
  const read = typeof url === 'string' ? () => url : url;
  let present = read();
  let before: string | undefined;
  let refused: string | undefined;
  let good = sessionConfig(present);

  const choose = (): string => {
    const now = read();
    if (now !== present) [before, present, refused] = [present, now, undefined];
    return refused === present ? (before ?? present) : present;
  };
  const configOf = (chosen: string): pg.ClientConfig => {
    try {
      good = sessionConfig(chosen);
    } catch {
      // A certificate that it names is being replaced at this moment.
    }
    return good;
  };
  const heard = (chosen: string, err: Error | null | undefined): void => {
    if (err && REFUSED.has((err as pg.DatabaseError).code ?? '')) refused = chosen;
    else if (!err && chosen === present) [before, refused] = [undefined, undefined];
  };

  class PresentClient extends pg.Client {
    constructor(config: pg.ClientConfig = {}) {
      const chosen = choose();
      super({ ...config, ...configOf(chosen) });
      const connect = super.connect.bind(this) as () => Promise<pg.Client>;
      this.connect = ((callback?: (err?: Error) => void) => {
        const connected = connect();
        const told = connected.then(
          () => heard(chosen, undefined),
          (err: Error) => heard(chosen, err),
        );
        if (callback === undefined) return connected;
        told.then(() => connected).then(() => callback(), callback);
        return undefined;
      }) as pg.Client['connect'];
    }
  }
  return {
    Client: PresentClient,
    tryAll: async (connect) => {
      for (let tries = 1; ; tries++) {
        try {
          return await connect();
        } catch (err) {
          const mayBeOther = before !== undefined && REFUSED.has((err as pg.DatabaseError).code ?? '');
          if (!mayBeOther || tries >= TRIES_MAX) throw err;
        }
      }
    },
  };
}
