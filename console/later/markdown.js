/** The part of Markdown that the runbook is written in, as a tree that a view draws: no markup is made of text anywhere. */

/** @typedef {{ level: number, slug: string, title: string, lines: string[] }} Section what stands below one heading, up to the next */
/** @typedef {{ kind: 'text' | 'code' | 'strong' | 'em', text: string } | { kind: 'link', text: string, to: string }} Span */
/**
 * @typedef {{ kind: 'paragraph', spans: Span[] } | { kind: 'code', text: string } | { kind: 'list', isNumbered: boolean, items: Span[][] }
 *   | { kind: 'table', head: Span[][], rows: Span[][][] }} Block
 */

/** As code hosts make anchors of headings. @param {string} title */
export const slugOf = (title) =>
  title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/** @param {string} text @returns {Section[]} the first is what stands before the first heading of the second level */
export function sectionsOf(text) {
  /** @type {Section[]} */
  const sections = [];
  let isFenced = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) isFenced = !isFenced;
    const [, marks, title] = (!isFenced && /^(#{1,4}) (.+)$/.exec(line)) || [];
    if (marks && title) sections.push({ level: marks.length, slug: slugOf(title), title, lines: [] });
    else sections.at(-1)?.lines.push(line);
  }
  return sections;
}

const ITEM = /^(?:[-*]|\d+\.) /;
const RULE = /^\|[-| :]+\|$/;

/** @param {readonly string[]} lines @returns {Block[]} */
export function blocksOf(lines) {
  /** @type {Block[]} */
  const blocks = [];
  for (let i = 0; i < lines.length; ) {
    const line = lines[i] ?? '';
    let end = i + 1;
    const upTo = (/** @type {(line: string) => boolean} */ isOver) => {
      while (end < lines.length && !isOver(lines[end] ?? '')) end++;
      return lines.slice(i, end);
    };
    if (line.trim() === '') {
      // between two blocks
    } else if (line.startsWith('```')) {
      const code = upTo((each) => each.startsWith('```')).slice(1);
      end++;
      blocks.push({ kind: 'code', text: code.join('\n') });
    } else if (line.startsWith('|')) blocks.push(tableOf(upTo((each) => !each.startsWith('|'))));
    else if (ITEM.test(line))
      blocks.push(listOf(upTo((each) => each.trim() === '' || each.startsWith('```') || /^[^\s\d-]/.test(each))));
    else {
      const text = upTo(
        (each) => each.trim() === '' || ITEM.test(each) || each.startsWith('```') || each.startsWith('|'),
      );
      blocks.push({ kind: 'paragraph', spans: spansOf(text.join(' ')) });
    }
    i = end;
  }
  return blocks;
}

/** @param {readonly string[]} lines @returns {Block} */
function tableOf(lines) {
  const cells = lines
    .filter((line) => !RULE.test(line))
    .map((line) => line.replace(/^\||\|\s*$/g, '').split(/(?<!\\)\|/))
    .map((row) => row.map((cell) => spansOf(cell.trim().replaceAll('\\|', '|'))));
  const [head = [], ...rows] = cells;
  return { kind: 'table', head, rows };
}

/** @param {readonly string[]} lines @returns {Block} */
function listOf(lines) {
  /** @type {string[]} */
  const items = [];
  for (const line of lines) {
    if (ITEM.test(line)) items.push(line.replace(ITEM, ''));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return { kind: 'list', isNumbered: /^\d/.test(lines[0] ?? ''), items: items.map(spansOf) };
}

const SPAN = /`([^`]+)`|\*\*(.+?)\*\*|\*([^*\s][^*]*)\*|\[((?:`[^`]*`|[^\]])+)\]\(([^)\s]+)\)/g;

/** @param {string} text @returns {Span[]} */
export function spansOf(text) {
  /** @type {Span[]} */
  const spans = [];
  let from = 0;
  for (const { 0: whole, 1: code, 2: strong, 3: em, 4: link, 5: to, index } of text.matchAll(SPAN)) {
    if (index > from) spans.push({ kind: 'text', text: text.slice(from, index) });
    from = index + whole.length;
    if (code !== undefined) spans.push({ kind: 'code', text: code });
    else if (strong !== undefined) spans.push({ kind: 'strong', text: strong });
    else if (em !== undefined) spans.push({ kind: 'em', text: em });
    else if (to !== undefined) spans.push({ kind: 'link', text: (link ?? to).replaceAll('`', ''), to });
  }
  if (from < text.length) spans.push({ kind: 'text', text: text.slice(from) });
  return spans;
}
