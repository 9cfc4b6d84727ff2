/** The attacker's process: one attack until its parent says stop, by closing its standard input; then what it has met, as JSON. */
import { setPriority } from 'node:os';
import { ATTACKS } from './attacks.js';
import type { Scene } from './scene.js';

const [name = '', scene = ''] = process.argv.slice(2);
const declared = ATTACKS[name];
if (declared === undefined) throw new Error(`There is no attack "${name}".`);
/** Real attackers have machines of their own: this one gets what is left of this one. */
setPriority(19);
const attack = declared.start(JSON.parse(scene) as Scene);
process.stdin.resume().once('end', () => {
  process.stdout.write(JSON.stringify(Object.fromEntries(attack.seen)), () => process.exit(0));
});
