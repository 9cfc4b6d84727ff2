import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readOpsConfig } from '../../ops/connections.js';
import { gatewayPlace } from '../../ops/gateway-view.js';

test('on a laptop a key alone is the sandbox’s, as for `npm start`; elsewhere it is Stripe’s', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'order-saga-gateway-place-'));
  try {
    const place = (env: NodeJS.ProcessEnv) =>
      gatewayPlace(readOpsConfig({ DATA_DIR: dataDir, SANDBOX_PORT: '4711', ...env }));
    expect(place({ STRIPE_API_KEY: 'sk_test_own' })).toEqual({ apiKey: 'sk_test_own' });
    expect(place({})).toBe(undefined);
    mkdirSync(join(dataDir, 'sandbox'));
    expect(place({ STRIPE_API_KEY: 'sk_test_own' })).toEqual({ apiKey: 'sk_test_own', url: 'http://127.0.0.1:4711' });
    expect(place({ PAYMENTS_URL: 'http://127.0.0.1:1' })).toMatchObject({ url: 'http://127.0.0.1:1' });
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
