/** Said at start, for its effect: which Nodes still run this, but get no more fixes themselves. https://nodejs.org/en/about/previous-releases */
const ENDED = { 20: '2026-04' };
const RECOMMENDED = 24;

/** @returns a sentence, or undefined where there is nothing to say */
export function endOfLife(version) {
  const major = version.split('.')[0];
  const ended = ENDED[major];
  if (ended === undefined) return undefined;
  return `This is Node ${version}, whose line reached its end of life in ${ended}: order-saga runs on it, but Node ${RECOMMENDED} is what to use.`;
}
