/** Changes of orders, as a process of the service learns of them: by a channel of its own. */
import { pino } from 'pino';
import { OUTBOX_CHANNEL } from '../../contracts/ids.js';
import { type Channel, openChannel } from '../../runtime/channel.js';

/** To be stopped before its database is dropped. */
export const changesOf = ({ url }: { url: string }): Channel =>
  openChannel({ url, name: OUTBOX_CHANNEL, logger: pino({ level: 'silent' }) });

/** Nothing is ever announced: who would subscribe looks at intervals only. */
export const NO_CHANGES: Pick<Channel, 'subscribe'> = { subscribe: () => () => undefined };
