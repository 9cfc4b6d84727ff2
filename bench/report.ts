/** Report: what a run has found, for the terminal and for bench/RESULTS.md. */
import Table from 'cli-table3';

export type Target = { atMost: number } | { atLeast: number };

export type Figure = {
  what: string;
  value: number;
  unit?: string;
  /** Absent: shown for comparison, nothing is promised. */
  target?: Target;
  /** What it was made of. */
  from?: string;
};

/** Details behind the figures. */
export type Details = { title: string; head: string[]; rows: (string | number)[][]; note?: string };

export type Findings = { figures: Figure[]; details: Details[] };

export function outcomeOf({ value, target }: Figure): 'reached' | 'MISSED' | '' {
  if (target === undefined) return '';
  const isReached = 'atMost' in target ? value <= target.atMost : value >= target.atLeast;
  return isReached ? 'reached' : 'MISSED';
}

const HEAD = ['figure', 'measured', 'target', '', 'from'];

const rowOf = (figure: Figure): string[] => [
  figure.what,
  `${round(figure.value)}${figure.unit === undefined ? '' : ` ${figure.unit}`}`,
  targetText(figure),
  outcomeOf(figure),
  figure.from ?? '',
];

function targetText({ target }: Figure): string {
  if (target === undefined) return '';
  return 'atMost' in target ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`;
}

/** Three digits that matter; a reader cannot compare more. */
export function round(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

export function printed({ figures, details }: Findings): string {
  const table = (head: string[], rows: (string | number)[][]) => {
    const drawn = new Table({ head, style: { head: [], border: [] } });
    drawn.push(...rows.map((row) => row.map(cell)));
    return drawn.toString();
  };
  const more = details.map(
    ({ title, head, rows, note }) => `\n${title}\n${table(head, rows)}${note ? `\n${note}` : ''}`,
  );
  return [...more, `\n${table(HEAD, figures.map(rowOf))}\n`].join('\n');
}

/** @param facts lines about the machine and the run */
export function markdown({ figures, details }: Findings, facts: string[]): string {
  const table = (head: string[], rows: (string | number)[][]) =>
    [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))]
      .map((row) => `| ${row.join(' | ')} |`)
      .join('\n');
  return `${[
    '# What it costs, and how fast it is',
    'Written by `npm run bench`; do not edit. What each figure means, and what limits it: [docs/scale.md](../docs/scale.md).',
    facts.map((fact) => `- ${fact}`).join('\n'),
    table(HEAD, figures.map(rowOf)),
    ...details.map(({ title, head, rows, note }) => `## ${title}\n${table(head, rows)}${note ? `\n\n${note}` : ''}`),
  ].join('\n\n')}\n`;
}

const cell = (value: string | number): string => (typeof value === 'number' ? round(value) : value);
