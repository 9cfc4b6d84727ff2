/** What an error of the gateway says, as `gateways/stripe-errors` spells it. */

/** @returns the HTTP status that was answered; undefined = there was no answer, or none with one */
export const statusOf = (error: string | null): string | undefined => /\banswered (\d{3})\b/.exec(error ?? '')?.[1];
