/** Which ports `npm start` opens, by program, and which variable moves each. */
import type { PortUse } from './processes/ports.js';
import { type Role, type Settings, servesHttp } from './settings.js';

const LOOPBACK = '127.0.0.1';

const apiPort = ({ HOST, PORT }: Settings): PortUse => ({ variable: 'PORT', port: PORT, host: HOST, what: 'the API' });

export const temporalPorts = ({ TEMPORAL_PORT, TEMPORAL_UI_PORT }: Settings): PortUse[] => [
  { variable: 'TEMPORAL_PORT', port: TEMPORAL_PORT, host: LOOPBACK, what: 'Temporal' },
  { variable: 'TEMPORAL_UI_PORT', port: TEMPORAL_UI_PORT, host: LOOPBACK, what: 'the Temporal Web UI' },
];

export const sandboxPort = ({ SANDBOX_PORT }: Settings): PortUse => ({
  variable: 'SANDBOX_PORT',
  port: SANDBOX_PORT,
  host: LOOPBACK,
  what: 'the payment sandbox',
});

export const postgresPort = ({ POSTGRES_PORT }: Settings): PortUse => ({
  variable: 'POSTGRES_PORT',
  port: POSTGRES_PORT,
  host: LOOPBACK,
  what: 'Postgres',
});

/** @param metricsPort the one that was found for this process */
export const servicePorts = (settings: Settings, role: Role, metricsPort: number | undefined): PortUse[] => [
  ...(servesHttp(role) ? [apiPort(settings)] : []),
  ...(metricsPort === undefined
    ? []
    : [{ variable: 'METRICS_PORT', port: metricsPort, host: settings.METRICS_HOST, what: `metrics of ${role}` }]),
];

/** All that are chosen; those of metrics are looked for. */
export const chosenPorts = (settings: Settings): PortUse[] => [
  ...(settings.roles.some(servesHttp) ? [apiPort(settings)] : []),
  ...(settings.TEMPORAL_ADDRESS === undefined ? temporalPorts(settings) : []),
  ...(settings.PAYMENTS_URL === undefined ? [sandboxPort(settings)] : []),
  ...(settings.DATABASE_URL === undefined ? [postgresPort(settings)] : []),
];
