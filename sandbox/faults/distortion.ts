/** Distortion: what a fault makes of an answer that was right. */
import type { FastifyRequest } from 'fastify';
import type { Echo, Fault } from './faults.js';

/** The fault that a look-up meets goes with its request. Not as a property: types of requests are shared with the API's. */
export const NO_FAULT = ['fault', null] as const;
export const setFault = (request: FastifyRequest, fault: Fault) => request.setDecorator(NO_FAULT[0], fault);
export const faultOf = (request: FastifyRequest) => request.getDecorator<Fault | null>(NO_FAULT[0]);

type Answer = { [name: string]: unknown };

/** @returns a copy; the truth may be shared */
export function distort(fault: Fault, answer: unknown): unknown {
  if (!isAnswer(answer)) return answer;
  switch (fault.mode) {
    case 'repeat_page':
      return { ...answer, ...MORE, ...(answer['object'] === 'search_result' ? { next_page: 'again' } : {}) };
    case 'empty_page':
      return { ...answer, ...MORE, data: [], ...(answer['object'] === 'search_result' ? { next_page: 'again' } : {}) };
    case 'wrong_echo':
      return misquote(answer, fault.echo ?? {}, fault.orderId ?? null);
    default:
      return answer;
  }
}

const MORE = { has_more: true };

/** Amounts and currency of intents and charges, wherever they are in the answer. */
export function misquote(answer: Answer, echo: Echo, orderId: string | null = null): Answer {
  const { data, latest_charge: charge, metadata } = answer as { [name: string]: unknown } & { metadata?: Answer };
  if (Array.isArray(data)) return { ...answer, data: data.map((one: Answer) => misquote(one, echo, orderId)) };
  const isMeant = orderId === null || metadata?.['orderId'] === orderId;
  if (!isMeant || (answer['object'] !== 'payment_intent' && answer['object'] !== 'charge')) return answer;
  return {
    ...answer,
    ...(echo.currency === undefined ? {} : { currency: echo.currency }),
    ...(echo.amount === undefined ? {} : amounts(answer, echo.amount)),
    ...(isAnswer(charge) ? { latest_charge: misquote(charge, echo, orderId) } : {}),
  };
}

/** What was taken is as wrong as what was asked for; where nothing was taken, nothing it stays. */
function amounts(answer: Answer, amount: number): Answer {
  const taken = ['amount_received', 'amount_captured'].filter((name) => Number(answer[name] ?? 0) > 0);
  return { amount, ...Object.fromEntries(taken.map((name) => [name, amount])) };
}

const isAnswer = (value: unknown): value is Answer => typeof value === 'object' && value !== null;
