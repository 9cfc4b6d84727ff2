/** A copy of the alarms' rules whose times all are shortened by one factor, for a run that need not last for days. */
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { RULES } from '../../deploy/alarms/promtool.js';
import { read } from '../../deploy/text.js';

export const FACTOR = 40;
/** A window must hold some scrapes, whatever the factor says. */
const WINDOW_MIN_MS = 6_000;
const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const shortened = (amount: string, unit: string, leastMs = 0): string =>
  `${Math.max(leastMs, Math.round((Number(amount) * UNITS[unit as keyof typeof UNITS]) / FACTOR))}ms`;

/** What holds an alarm once its cause has gone would only be waited for. @returns paths of copies that let go at once */
export function withoutKeeping(folder: string): string[] {
  return copied(folder, (text) => text.replace(/^ +keep_firing_for: .*\n/gm, ''));
}

/** `for`, `keep_firing_for`, windows and offsets; thresholds (a lag of 300 s) and shares stay. @returns the copies' paths */
export function shortenRules(folder: string): string[] {
  return copied(folder, (text) =>
    text
      .replace(
        /^( +(?:keep_firing_)?for:) (\d+)([smhd])$/gm,
        (_, name, amount, unit) => `${name} ${shortened(amount, unit)}`,
      )
      .replace(/\[(\d+)([smhd])\]/g, (_, amount, unit) => `[${shortened(amount, unit, WINDOW_MIN_MS)}]`)
      .replace(/offset (\d+)([smhd])/g, (_, amount, unit) => `offset ${shortened(amount, unit, WINDOW_MIN_MS)}`),
  );
}

const copied = (folder: string, change: (text: string) => string): string[] =>
  RULES.map((file) => {
    const copy = join(folder, basename(file));
    writeFileSync(copy, change(read(file)));
    return copy;
  });
