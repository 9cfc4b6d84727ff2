/** Brokers for tests: one that this machine lacks is skipped by name, or fails the run where REQUIRE_BROKERS=1. */
import { describe } from '@jest/globals';
import { type BrokerName, findBroker } from '../../testbed/brokers/programs.js';
import { type Broker, startBroker } from '../../testbed/brokers/start.js';

/** What a broker's test begins with, at the top level of its file: whether it can be had is asked before tests are listed. */
export async function describeWithBroker(
  name: BrokerName,
  tests: (start: () => Promise<Broker>) => void,
): Promise<void> {
  const missing = await whyMissing(name);
  if (missing === undefined) describe(name, () => tests(() => startBroker(name)));
  else describe.skip(`${name} (skipped; ${missing})`, () => tests(() => startBroker(name)));
}

/** @returns those of them that this machine has */
export async function brokersHere(names: readonly BrokerName[]): Promise<BrokerName[]> {
  const missing = await Promise.all(names.map(whyMissing));
  return names.filter((_, index) => missing[index] === undefined);
}

/** Says so in the output of the run. @throws where REQUIRE_BROKERS=1 */
async function whyMissing(name: BrokerName): Promise<string | undefined> {
  const finding = await findBroker(name, process.env);
  if ('programs' in finding) return undefined;
  if (process.env['REQUIRE_BROKERS'] === '1') throw new Error(`REQUIRE_BROKERS=1, but ${finding.missing}`);
  process.stderr.write(`Skipped: ${finding.missing}\n`);
  return finding.missing;
}
