/** The console's API with everything real around it: Postgres, Temporal, a worker, the payment sandbox. */
import type { ApiSettings } from '../../../api/api.js';
import { createPaymentGateway } from '../../../gateways/stripe.js';
import { AWAY, startTestApi, type TestApi } from '../../support/api.js';
import { stock } from '../../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../../support/saga.js';

export type ConsoleStack = SagaStack & {
  api: TestApi;
  /** Another API on the same database and Temporal, as after a restart. */
  startApi(settings?: Partial<Omit<ApiSettings, 'changes'>>): Promise<TestApi>;
  stopAll(): Promise<void>;
};

/** Of sagas: short where a test waits for one to park. */
export const SHORT = { ...PATIENT, stepRetryBudgetMs: 1_200 };

/** @param settings of the API, besides. A thousand pieces of KEYBOARD are in stock, at 10.00 each. */
export async function startConsoleStack(settings: Partial<Omit<ApiSettings, 'changes'>> = {}): Promise<ConsoleStack> {
  const sagas = await startSagaStack();
  const gateway = createPaymentGateway({ url: sagas.sandboxUrl, apiKey: 'sk_test_console', timeoutMs: 1_000 });
  const startApi = (changed: Partial<Omit<ApiSettings, 'changes'>> = {}) =>
    startTestApi({
      ...{ db: sagas.db, databaseUrl: sagas.databaseUrl, policy: SHORT },
      temporal: { ...AWAY, client: () => sagas.client },
      explaining: { gateway: { where: 'the sandbox', ledger: gateway }, probeEveryMs: 5_000 },
      ...settings,
      ...changed,
    });
  const api = await startApi();
  await stock(sagas.db, 'KEYBOARD', 1_000);
  return {
    ...sagas,
    api,
    startApi,
    stopAll: async () => {
      await api.stop();
      await sagas.stop();
    },
  };
}
