/**
 * Everything that the CLI says. stdout carries the answer: tables for people, or with `--output json` one document for a
 * machine; then all that is meant for people goes to stderr.
 */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import { money } from '../contracts/amounts.js';
import type { Money } from '../contracts/orders.js';
import { TEXT } from '../contracts/texts.js';

export type OutputOptions = { output: 'table' | 'json'; color: boolean };

export type Output = {
  readonly json: boolean;
  /** A person sits there, who can be asked and shown something that moves. */
  readonly interactive: boolean;
  readonly terminal: NodeJS.WriteStream;
  /** The answer, for machines. Says nothing in table mode. */
  document(value: unknown): void;
  /** A line, for people. */
  print(text?: string): void;
  /** About the answer, not part of it: always on stderr. */
  notice(text: string): void;
  /** Draws over the last drawing; only where `interactive`. */
  redraw(text: string): void;
  table(head: string[], rows: string[][]): void;
  /** The answer in a format of its own: nothing but its line ends is let through unescaped. */
  raw(text: string): void;
  paint(style: Style, text: string): string;
};
type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

export function createOutput({ output, color }: OutputOptions): Output {
  const json = output === 'json';
  const human = json ? process.stderr : process.stdout;
  const colored = color && human.isTTY === true;
  const paint = (style: Style, text: string) => (colored ? styleText(style, text, { validateStream: false }) : text);
  const print = (text = '') => write(human, `${printable(text)}\n`);
  return {
    json,
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    terminal: process.stderr,
    document: (value) => {
      if (json) write(process.stdout, `${printable(JSON.stringify(value, null, 2))}\n`);
    },
    print,
    notice: (text) => write(process.stderr, `${printable(text)}\n`),
    redraw: (text) => write(process.stderr, `\r\x1b[2K${printable(text)}`),
    table: (head, rows) => {
      const table = new Table({ head: head.map((title) => paint('dim', title)), style: PLAIN, chars: NO_LINES });
      table.push(...rows.map((row) => row.map(onOneLine)));
      print(table.toString().replaceAll(/ +$/gm, ''));
    },
    raw: (text) => write(process.stdout, text.split('\r\n').map(printable).join('\r\n')),
    paint,
  };
}

/** `| head` closes the pipe when it has seen enough. What was begun is finished all the same, only without a word. */
export function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => closed.add(stream));
  }
}
const closed = new Set<NodeJS.WriteStream>();

function write(stream: NodeJS.WriteStream, text: string): void {
  if (!closed.has(stream)) stream.write(text);
}

const PLAIN = { head: [], border: [], 'padding-left': 0, 'padding-right': 2 };
const NO_LINES = Object.fromEntries(
  [
    ...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'],
  ].map((part) => [part, '']),
);

const escapeForbidden = (text: string): string =>
  text.replaceAll(/[^ -~]/gu, (character) =>
    TEXT.test(character) ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Errors, names and reasons are other people's text: nothing of theirs may steer the terminal. Our own colours and lines may.
 * The escapes are those of JSON, so that a document stays what it is. */
const printable = (text: string): string =>
  text
    .split(OURS)
    .map((part, nth) => (nth % 2 === 1 ? part : escapeForbidden(part)))
    .join('');
export const onOneLine = (text: string): string => printable(text.replaceAll(/[\n\r\t]/g, ' '));

const ESC = String.fromCharCode(27);
const OURS = new RegExp(`(${ESC}\\[\\d+m|\\n)`, 'u');

export const sum = (amounts: Money[]): string => amounts.map(money).join(' + ') || '0';

const UNITS = [
  { letter: 'd', ms: 86_400_000, next: 'h', nextMs: 3_600_000 },
  { letter: 'h', ms: 3_600_000, next: 'm', nextMs: 60_000 },
  { letter: 'm', ms: 60_000, next: 's', nextMs: 1_000 },
] as const;

/** 93 s → `1m 33s`; the two largest units. */
export function duration(ms: number): string {
  const unit = UNITS.find((candidate) => ms >= candidate.ms);
  if (!unit) return ms < 1_000 ? `${Math.max(0, Math.round(ms))}ms` : `${(ms / 1_000).toFixed(1)}s`;
  return `${Math.floor(ms / unit.ms)}${unit.letter} ${Math.floor((ms % unit.ms) / unit.nextMs)}${unit.next}`;
}

export const age = (iso: string): string => duration(Date.now() - Date.parse(iso));
/** UTC, as logs and the Web UI can show it. */
export const time = (iso: string): string => iso.slice(0, 23).replace('T', ' ').padEnd(23, '0').concat('Z');
