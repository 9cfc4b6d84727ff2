/** The dashboards' panels, as far as tests look at them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, read } from './text.js';

const FOLDER = 'deploy/grafana/dashboards';

type Dashboard = {
  uid: string;
  title: string;
  panels: { id: number; title: string; targets: { expr: string; legendFormat: string }[] }[];
};
export type Panel = { dashboard: string; id: number; title: string; exprs: string[] };

export const dashboards = (): Dashboard[] =>
  readdirSync(join(ROOT, FOLDER)).map((file) => JSON.parse(read(`${FOLDER}/${file}`)) as Dashboard);

export const panels = (): Panel[] =>
  dashboards().flatMap(({ uid, panels: its }) =>
    its.map(({ id, title, targets }) => ({ dashboard: uid, id, title, exprs: targets.map(({ expr }) => expr) })),
  );
