/** A certificate authority of our own, as companies have them inside: no client trusts it unless it is configured to. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runToEnd } from '../../local/processes/command.js';

export type Authority = {
  /** Files in PEM: its own certificate, and the key and the certificate of a server on this machine, apart and in one. */
  ca: string;
  key: string;
  certificate: string;
  keyAndCertificate: string;
  /** Makes a client's certificate, for this common name. */
  certify(name: string): Promise<{ key: string; certificate: string }>;
  remove(): void;
};

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-x509', '-days', '2'];

/** @param names whom the server's certificate is for, as openssl writes them */
export async function createAuthority(names = 'DNS:localhost,IP:127.0.0.1'): Promise<Authority> {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-authority-'));
  const [ca, caKey, certificate, key, keyAndCertificate] = ['ca', 'ca-key', 'server', 'server-key', 'both'].map(
    (name) => join(folder, `${name}.pem`),
  ) as [string, string, string, string, string];
  await openssl('req', ...KEY, '-keyout', caKey, '-out', ca, '-subj', '/CN=an authority of our own');
  const extensions = ['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE'];
  const server = ['-keyout', key, '-out', certificate, '-subj', '/CN=localhost'];
  await openssl('req', ...KEY, '-CA', ca, '-CAkey', caKey, ...server, ...extensions);
  writeFileSync(keyAndCertificate, readFileSync(key, 'utf8') + readFileSync(certificate, 'utf8'));
  let certified = 0;
  const certify = async (name: string) => {
    const [clientKey, client] = ['key', 'crt'].map((end) => join(folder, `client-${++certified}.${end}`)) as [
      string,
      string,
    ];
    const of = ['-keyout', clientKey, '-out', client, '-subj', `/CN=${name}`];
    const usage = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=clientAuth'];
    await openssl('req', ...KEY, '-CA', ca, '-CAkey', caKey, ...of, ...usage);
    return { key: clientKey, certificate: client };
  };
  return { ca, key, certificate, keyAndCertificate, certify, remove: () => rmSync(folder, { recursive: true }) };
}

async function openssl(...args: string[]): Promise<void> {
  const { failure, output } = await runToEnd('openssl', args);
  if (failure !== undefined) throw new Error(`openssl ${args[0]} fails (${failure}): ${output}`);
}
