/** Where an error was made: its stack's frames without its message, and whether the first of them is code of ours. */
import { fileURLToPath } from 'node:url';

/** Frames are for finding the place, which is among the first. */
const FRAMES_MAX = 12;
/** What a frame may look like; a line of a message that imitates one has been cut off with the message. */
const FRAME = /^ {4}at (?:async )?(?:[\w$.<>#[\] ]+ \()?((?:file:\/\/|node:|\/|<anonymous>)[^()?\n]*)\)?$/;

/** The checkout, or the folder of the image: source maps name the sources beside dist/. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\bdist\/$/, '');

/** @returns no frames of an error whose message was changed after it was made: they cannot be told from the message */
export function framesOf({ stack, message }: { stack?: unknown; message?: unknown }): string[] {
  if (typeof stack !== 'string' || typeof message !== 'string' || !stack.includes(message)) return [];
  const afterMessage = stack.slice(stack.indexOf(message) + message.length);
  return afterMessage
    .split('\n')
    .filter((line) => FRAME.test(line))
    .slice(0, FRAMES_MAX);
}

export function isMadeByUs([first = '']: readonly string[]): boolean {
  const place = (FRAME.exec(first)?.[1] ?? '').replace(/^file:\/\//, '');
  return place.startsWith(ROOT) && !place.includes('/node_modules/');
}
