/** Each destination's place for dead letters, and the settings that lead to it. */
import { openKafkaPlace, KAFKA_SETTINGS } from './kafka.mjs';
import { openNatsPlace, NATS_SETTINGS } from './nats.mjs';
import { openRabbitPlace, RABBIT_SETTINGS } from './rabbitmq.mjs';
import { openTable } from './table.mjs';

export const PLACES = {
  feed: { settings: {}, place: openTable },
  webhook: { settings: {}, place: openTable },
  kafka: { settings: KAFKA_SETTINGS, place: openKafkaPlace },
  nats: { settings: NATS_SETTINGS, place: openNatsPlace },
  rabbitmq: { settings: RABBIT_SETTINGS, place: openRabbitPlace },
};
