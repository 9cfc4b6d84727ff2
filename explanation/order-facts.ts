/** All that is known of an order, read once: what is said of it, in whatever form, is said from this. */
import type { GatewayView } from './gateway-view.js';
import type { OrderRow } from './order-row.js';
import type { SagaView } from './saga-view.js';
import type { Standing } from './situation.js';

export type OrderFacts = { row: OrderRow; saga: SagaView; gateway: GatewayView; standing: Standing };
