/**
 * `node temporal-download.js <folder>`: has the SDK download the Temporal CLI into a folder. The SDK has no call that only
 * downloads; starting a server is what triggers it. A failure is one line on stderr.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { CLI_VERSION } from './obtain.js';

const [downloadDir] = process.argv.slice(2);
if (downloadDir === undefined) throw new Error('Usage: temporal-download.js <folder>');

try {
  const env = await TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'cached-download', downloadDir, version: `v${CLI_VERSION}`, ttl: '1 day' },
      ip: '127.0.0.1',
      log: { format: 'pretty', level: 'error' },
    },
  });
  await env.teardown();
} catch (err) {
  process.stderr.write(`${(err as Error).message.replaceAll('\n', ' ')}\n`);
  process.exit(1);
}
