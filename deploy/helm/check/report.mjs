/** What was held against what, and what came of it: lines while it runs, and a document. No path of this machine is in it. */
export function createReport(say) {
  const sections = [];
  let failures = 0;
  const add = (mark, what, said) => {
    if (mark === 'FAILED') failures++;
    sections.at(-1).rows.push([mark, what, said]);
    say(`${mark.padEnd(7)} ${what}${said ? `: ${said}` : ''}`);
  };
  return {
    section: (title) => {
      sections.push({ title, rows: [] });
      say(`\n== ${title}`);
    },
    /** @param said what was seen, in a line. Returns whether it holds. */
    check: (what, holds, said = '') => {
      add(holds ? 'ok' : 'FAILED', what, oneLine(said));
      return holds;
    },
    skip: (title, why) => {
      sections.push({ title, rows: [] });
      add('skipped', title, why);
    },
    /** Of what nobody has foreseen. */
    fail: (err) => {
      sections.push({ title: 'Cut short', rows: [] });
      add('FAILED', 'the check itself', oneLine(err.stack ?? err));
    },
    failures: () => failures,
    document: (programs) => {
      const versions = Object.entries(programs).map(([name, { version }]) => `${name} ${version}`);
      const tables = sections.map(({ title, rows }) =>
        [
          `## ${title}`,
          '| | what | seen |',
          '|---|---|---|',
          ...rows.map((cells) => `| ${cells.map(cell).join(' | ')} |`),
        ].join('\n'),
      );
      const head = [
        '# The Helm chart, held against real parts of Kubernetes',
        `Written by \`npm run kube:test\` on ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC; ${failures} failed.`,
        `With ${versions.join(', ')}.`,
        'No kubelet and no container runtime took part: that a pod runs was only said, and no image was started.',
      ];
      return `${head.join('\n')}\n\n${tables.join('\n\n')}\n`;
    },
  };
}

const cell = (text) => String(text).replaceAll('|', '\\|');
/** Helm tells at each start which files of the chart are links. */
const oneLine = (text) =>
  String(text)
    .replace(/^walk\.go.*$/gm, '')
    .trim()
    .replace(/\s+/g, ' ')
    .slice(0, 400);
