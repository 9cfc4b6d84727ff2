/** What the scripts print for the user. On stderr: stdout belongs to the program that follows. */
export const say = (text) => process.stderr.write(`${text}\n`);

/** A sentence for the user, without a stack: nothing is wrong with the program. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** By name: the compiled code has its own copy of the classes. ConfigError is runtime/config.ts's. */
const SENTENCES = ['SetupError', 'ConfigError'];

/** Runs a script's main; a failure that is explained in a sentence ends the process without a stack. */
export async function runScript(main) {
  try {
    await main();
  } catch (err) {
    say(SENTENCES.includes(err.name) ? err.message : err.stack);
    process.exit(1);
  }
}

/** Runs one stage and says how long it took. */
export async function stage(title, run) {
  say(`[setup] ${title} …`);
  const start = performance.now();
  const result = await run();
  say(`[setup] ${title}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}
