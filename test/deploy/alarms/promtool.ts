/** A case of an alarm as promtool's own unit test: three spans of minutes, and what is to be raised at the end of each. */
import { read } from '../text.js';

/** A level that goes on rising, by so much a minute. */
export const perMinute = (rise: number): Level => ({ rise });
/** The time at which something was last done, which stays so long ago. */
export const secondsAgo = (ago: number): Level => ({ ago });
export const absent: Level = 'absent';

/** Now one level, now the other, a minute each. */
export const flapping = (one: number, other: number): Level => ({ flaps: [one, other] });

type Level = number | { rise: number } | { ago: number } | { flaps: [number, number] } | 'absent';
export type AlarmCase = {
  alert: string;
  /** Where an alarm has several cases: which. */
  what?: string;
  /** Series → its level just below the alarm, as it is raised, and (unless as before) when it is to clear. */
  series: Record<string, [Level, Level, Level?]>;
  /** How long each of the three lasts. */
  minutes?: [number, number, number];
  /** Those that the alarm has beside its severity. */
  labels?: Record<string, string>;
  /** As it reads when it is raised; undefined: only whether it is raised is looked at. */
  summary?: string;
};

const MINUTES: [number, number, number] = [15, 20, 30];
export const RULES = ['deploy/prometheus/alerts.yml', 'deploy/prometheus/slo.yml'];

export type Rule = { alert: string; severity: string; area: string; runbook: string; dashboard: string };

/** The alarms, in the order of their files. */
export function readRules(): Rule[] {
  const blocks = RULES.flatMap((file) =>
    read(file)
      .split(/^ {6}- (?=alert: )/m)
      .slice(1),
  );
  return blocks.map((block) => {
    const value = (name: string) => new RegExp(`\\b${name}: ([^\\s},]+)`).exec(block)?.[1] ?? '';
    return {
      alert: value('alert'),
      severity: value('severity'),
      area: /\barea: (.+?) \}$/m.exec(block)?.[1] ?? '',
      runbook: value('runbook'),
      dashboard: value('dashboard'),
    };
  });
}

/** @returns a file for `promtool test rules`, as JSON, which is YAML */
export function promtoolTest(
  { alert, series, minutes = MINUTES, labels = {}, summary }: AlarmCase,
  rule: Rule,
  ruleFiles: string[],
): string {
  const [below, above, clear] = minutes;
  const ends = [below - 1, below + above - 1, below + above + clear - 1];
  const { severity, runbook, dashboard } = rule;
  const raised = {
    exp_labels: { severity, area: areaOf(rule, labels), ...labels },
    exp_annotations: { summary, runbook, dashboard },
  };
  const byAlerts = ends.map((end, span) => ({
    eval_time: `${end}m`,
    alertname: alert,
    exp_alerts: span === 1 ? [raised] : [],
  }));
  const byCount = ends.map((end, span) => ({
    expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
    eval_time: `${end}m`,
    exp_samples: span === 1 ? [{ labels: '{}', value: 1 }] : [],
  }));
  return JSON.stringify({
    rule_files: ruleFiles,
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: Object.entries(series).map(([name, [low, high, again = low]]) => ({
          series: name,
          values: valuesOf([low, high, again], minutes),
        })),
        ...(summary === undefined ? { promql_expr_test: byCount } : { alert_rule_test: byAlerts }),
      },
    ],
  });
}

/** Where the cause is: a word, or of alarms about several things, what their labels say. */
export const areaOf = ({ area }: Rule, { slo, source, missing }: Record<string, string>): string => {
  if (!area.includes('{{')) return area;
  return source ?? missing ?? (slo === 'final-in-time' ? 'sagas' : 'api');
};

/** In promtool's notation: `start+step x further`; what rises goes on from where it has come to. */
function valuesOf(levels: [Level, Level, Level], minutes: [number, number, number]): string {
  let total = 0;
  let at = 0;
  const spans = levels.map((level, span) => {
    const length = minutes[span] ?? 0;
    const began = at;
    at += length;
    if (level === 'absent') return `_x${length}`;
    if (typeof level === 'number') return `${level}+0x${length - 1}`;
    if ('flaps' in level) return Array.from({ length }, (_, minute) => level.flaps[minute % 2]).join(' ');
    if ('ago' in level) return `${began * 60 - level.ago}+60x${length - 1}`;
    const from = total + level.rise;
    total += level.rise * length;
    return `${from}+${level.rise}x${length - 1}`;
  });
  return spans.join(' ');
}
