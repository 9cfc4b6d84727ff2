/** What of a source browsers are sent: everything but its comments, which are half of it. Each line keeps its number, for stack traces. */

/** A comment that has its lines to itself. In a text or a template it cannot be told, so none may begin a line there. */
const COMMENT = /^[ \t]*\/\*(?:(?!\*\/)[\s\S])*\*\/[ \t]*$/gm;
/** A type within a line. */
const TYPE = /\/\*\* @(?:type|param) [^*\n]*\*\/ ?/g;

/** @param text JavaScript, CSS or SVG of ours, as Biome formats it */
export const withoutComments = (text: string): string =>
  text.replace(COMMENT, (comment) => comment.replace(/[^\n]/g, '')).replace(TYPE, '');
