/**
 * Brakes: what operators hold back on purpose, for as long as they say.
 * - `accepting` no new order is accepted; all else goes on
 * - `charging`  orders are accepted and reserved, and nothing is charged; whatever is given back is
 * - `spending`  within an hour no more is charged than a limit per currency; what would be more waits
 */
export const BRAKES = ['accepting', 'charging', 'spending'] as const;
export type BrakeName = (typeof BRAKES)[number];

/** The brakes that hold charges. A saga that they hold waits for as long as they do: its deadline stands still meanwhile. */
export const CHARGE_BRAKES = ['charging', 'spending'] as const satisfies readonly BrakeName[];

/** The type of the failure of a charge that a brake holds. */
export const CHARGING_HELD = 'ChargingHeld';

export const BRAKE_MESSAGE_LENGTH_MAX = 200;
/** What whoever orders is told to wait if the operator has not said. */
export const BRAKE_RETRY_AFTER_S = { default: 60, max: 86_400 } as const;
/** Currencies of a limit on spending. */
export const SPENDING_LIMITS_MAX = 20;
