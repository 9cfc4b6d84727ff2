/** The track of disputes: scans of the gateway's list, for the charges on record that a customer's bank has taken issue with. */
import { listRecorded } from '../../domain/reconciliation.js';
import { examineAll } from '../comparison.js';
import { gatewayNow, isolated, type Pass, scansOfPass } from '../pass-state.js';
import { readOn } from '../scans.js';

export async function disputesTrack(pass: Pass): Promise<void> {
  const { db, gateway } = pass.deps;
  for (const scan of scansOfPass(pass).disputes)
    await isolated(pass, () =>
      readOn(db, scan, gatewayNow(pass), gateway.listDisputes, async (items) => {
        await examineAll(pass, await listRecorded(db, [...new Set(items.map((dispute) => dispute.chargeReference))]));
      }),
    );
}
