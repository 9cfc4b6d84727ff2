/** `npm run help`: every script of package.json in a line. What each is for stands there too, under `scripts-info`. */
import { readFileSync } from 'node:fs';

const { scripts, 'scripts-info': info } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
/** npm runs these by their name alone. */
const SHORT = ['start', 'test'];
const commands = Object.keys(scripts).map((name) => [
  SHORT.includes(name) ? `npm ${name}` : `npm run ${name}`,
  info[name],
]);
const width = Math.max(...commands.map(([command]) => command.length));
for (const [command, what] of commands) process.stdout.write(`${command.padEnd(width)}  ${what}\n`);
process.stdout.write('\nArguments come after --, such as: npm test -- test/domain\n');
