/** CSV as RFC 4180 has it, for a spreadsheet, in which no cell can become a formula: reasons are other people's text. */
export type Cell = string | number | null;

export const csv = (head: string[], rows: Cell[][]): string =>
  `${[head, ...rows].map((row) => row.map(cellOf).join(',')).join('\r\n')}\r\n`;

/**
 * What begins like a formula is one to a spreadsheet, unless a quote stands before it: behind blanks and in full width, too, and
 * behind a semicolon, which ends a cell where the comma stands in decimals.
 */
const FORMULA = /(^|[;\t\r\n])(?=["\s]*[=+\-@＝＋－＠])/gu;

function cellOf(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return `${cell}`;
  const text = cell.replace(FORMULA, "$1'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
