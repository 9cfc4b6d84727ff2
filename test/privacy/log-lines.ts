/** Every line that the service's code can log, read from the code: the names of the fields that it writes beside the message. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from '@swc/core';

/** Folders of the product whose code runs in a process that logs. */
const FOLDERS =
  'activities api contracts domain explanation gateways issuer ops reconciliation relay runtime sagas sandbox service verification workers workflows';
const LEVELS = new Set(['trace', 'debug', 'info', 'warn', 'error', 'fatal']);

type Node = { type?: string; [part: string]: unknown };
export type LogLine = { place: string; fields: string[]; said: string };

/** @returns each call of a logger. What it takes over whole (`...about`) has no names here: a run shows these. */
export function logLinesOfCode(): LogLine[] {
  return FOLDERS.split(' ').flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => linesIn(join(folder, name))),
  );
}

function linesIn(path: string): LogLine[] {
  const lines: LogLine[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) visit(each);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return;
    const node = value as Node;
    if (node.type === 'CallExpression' && isLogger(node['callee'] as Node)) {
      const [about, message] = (node['arguments'] as { expression: Node }[]).map(({ expression }) => expression);
      lines.push({ place: path, fields: about ? namesIn(about) : [], said: String(message?.['value'] ?? '') });
    }
    for (const part of Object.values(node)) visit(part);
  };
  visit(parseSync(readFileSync(path, 'utf8'), { syntax: 'typescript', target: 'es2022' }));
  return lines;
}

/** `logger.info`, `deps.logger?.warn`, `request.log.error`. */
function isLogger(callee: Node): boolean {
  const member = callee.type === 'OptionalChainingExpression' ? (callee['base'] as Node) : callee;
  if (member.type !== 'MemberExpression' || !LEVELS.has(nameOf(member['property'] as Node))) return false;
  const on = member['object'] as Node;
  return /^(?:log|logger)$/.test(nameOf(on.type === 'MemberExpression' ? (on['property'] as Node) : on));
}

const nameOf = (node: Node): string => (typeof node['value'] === 'string' ? node['value'] : '');

/** Of an object as it stands there; also where only one of two is taken. */
function namesIn(node: Node): string[] {
  if (node.type === 'ParenthesisExpression') return namesIn(node['expression'] as Node);
  if (node.type === 'ConditionalExpression')
    return [...namesIn(node['consequent'] as Node), ...namesIn(node['alternate'] as Node)];
  if (node.type === 'BinaryExpression') return namesIn(node['right'] as Node);
  if (node.type !== 'ObjectExpression') return [];
  return (node['properties'] as Node[]).flatMap((property) =>
    property.type === 'SpreadElement'
      ? namesIn(property['arguments'] as Node)
      : [nameOf(property['key'] ? (property['key'] as Node) : property)],
  );
}
