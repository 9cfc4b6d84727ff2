/** The commands that an explanation prints, as they are typed. */
import type { Explanation } from '../../explanation/explain.js';

/** @returns its first words, by which a test names it */
export const wordOf = ({ command }: { command: string }) => {
  const words = command.replace(/^ops /, '').split(' ');
  return words.slice(0, words[0] === 'temporal' ? 3 : words[0] === 'dead-letters' ? 2 : 1).join(' ');
};

/** @returns what the shell would make of a printed command, reasons filled in */
export const argsOf = (command: string) =>
  (command.replace('<why, ticket>', 'a test').match(/'[^']*'|\S+/g) ?? [])
    .slice(1)
    .map((word) => word.replaceAll("'", ''));
export const commandFor = (it: Explanation, word: string): string => {
  const found = it.choices.find((choice) => wordOf(choice) === word);
  if (!found) throw new Error(`${word} is not offered: ${it.choices.map(({ command }) => command).join('; ')}`);
  return found.command;
};
