/**
 * A path as a formula: its actions one after the other from the beginning, then nothing. `land?` may have been or not,
 * `record|recordConfirmed` is one of the two; `told E`, `untold E`, `is S`, `because R` and `tells E E …` say how the order then stands.
 */
import { readFileSync } from 'node:fs';

const STATE = new Set(['told', 'untold', 'is', 'because', 'tells']);
const isState = (action) => STATE.has(action.split(' ')[0]);

/** @returns the paths of a file with one JSON object a line: `name`, `actions` */
export const readPaths = (file) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/**
 * @param known the names of the model's actions: a path of anything else would show nothing about the model
 * @returns Alloy's `run`, which has an instance if and only if the model admits the path
 */
export function runOf(name, actions, known) {
  const moves = actions.filter((action) => !isState(action)).length;
  let held = '';
  const parts = [];
  for (const action of actions) {
    if (isState(action)) held += `${toState(action)} and `;
    else {
      parts.push(`(${held}${toAction(action, known)})`);
      held = '';
    }
  }
  parts.push(`(${held}always nothing)`);
  const noPiece = actions.includes('refuse');
  const scope = `for exactly 1 Order, exactly ${noPiece ? 0 : 1} Piece, ${moves + 1}..${moves + 1} steps`;
  return `run ${name} { intact and init and (some o: Order | (${parts.join('; ')})) } ${scope}`;
}

function toAction(text, known) {
  const choices = text
    .split('|')
    .flatMap((choice) => (choice.endsWith('?') ? [choice.slice(0, -1), 'nothing'] : [choice]));
  return choices.length === 1
    ? call(choices[0], known)
    : `(${choices.map((choice) => call(choice, known)).join(' or ')})`;
}

/** `begin Charge` → `begin[o,Charge]` */
function call(text, known) {
  if (text === 'nothing') return text;
  const [name, of] = text.split(' ');
  if (!known.has(name) || !/^[A-Za-z]+( [A-Za-z]+)?$/.test(text))
    throw new Error(`"${text}" is no action of the model`);
  return of === undefined ? `${name}[o]` : `${name}[o,${of}]`;
}

function toState(text) {
  if (!/^[A-Za-z]+( [A-Za-z]+)+$/.test(text)) throw new Error(`"${text}" says nothing of the model`);
  const [name, ...of] = text.split(' ');
  if (name !== 'tells') return `${name}[o,${of[0]}]`;
  // All its events and no other, each after those before it.
  const order = of.flatMap((event, n) => of.slice(0, n).map((before) => `${before}->${event}`));
  return `o.emitted = ${of.join(' + ')} and o.earlier = ${order.join(' + ') || 'none->none'}`;
}

/** @returns the names in the model's own list of what may happen */
export function actionsOf(model) {
  const [, list] = /pred act\[o: Order\] \{([^}]*)\}/.exec(model) ?? [];
  if (!list) throw new Error('The model has no list of its actions (`act`)');
  return new Set([...list.matchAll(/([A-Za-z]+)\[o/g)].map(([, name]) => name));
}
