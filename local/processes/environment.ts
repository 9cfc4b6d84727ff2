/**
 * The environment of a program that we start: what any program needs of the launcher's own, and what this one reads. Nothing else of
 * a developer's shell gets there, its secrets least of all: a program that is not ours, or one of ours that is broken into, has
 * only what it works with.
 */

type Wanted = (string | RegExp)[];

/** Who and where we are, how to find programs and libraries, how text is written; no name of these is a secret's. */
const ANY_PROGRAM: Wanted = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'TMP', 'TEMP'],
  /^LC_/,
  /^XDG_\w+_(HOME|DIR)$/,
  /^(LD|DYLD)_\w+$/,
  // Without these no program starts on Windows.
  ...['SYSTEMROOT', 'SYSTEMDRIVE', 'WINDIR', 'COMSPEC', 'PATHEXT', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA'],
];

/** What Node, and libraries below it, read by themselves: options, authorities that are trusted, colours. */
export const NODE_READS: Wanted = [/^NODE_/, /^SSL_CERT_(FILE|DIR)$/, /^UV_/, 'NO_COLOR', 'FORCE_COLOR'];

/** The way out of a network that has only one. There may be a password in them. */
export const PROXIES: Wanted = [/^(https?|all|no)_proxy$/i];

/** @param reads what this program reads besides; an exact name, or a pattern */
export function environment(from: NodeJS.ProcessEnv, ...reads: Wanted): NodeJS.ProcessEnv {
  const wanted = [...ANY_PROGRAM, ...reads];
  const isWanted = (name: string) =>
    wanted.some((want) => (typeof want === 'string' ? want === nameOf(name) : want.test(name)));
  return Object.fromEntries(Object.entries(from).filter(([name]) => isWanted(name)));
}

/** Windows writes `Path` and `SystemRoot`, and means the same. */
const nameOf = (name: string): string => (process.platform === 'win32' ? name.toUpperCase() : name);

/** By which an operator, and a check, knows whose a process is: `ps e` shows them. Not ROLE: a watchdog has none. */
const SIGNS: Wanted = ['DATA_DIR', /^([A-Z]+_)*PORT$/];

/** Of the little process that stands by a program. */
export const environmentOfWatchdog = (program: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment(program, ...SIGNS)).filter(([name]) => !/^(LD|DYLD)_/.test(name)));
