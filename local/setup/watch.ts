/**
 * Watch: says which sources have changed. Editors save a file in several steps and a change of branch touches hundreds: what
 * comes within a moment is one change, and what comes while one is being worked on is the next.
 */
import { watch } from 'node:fs';

export type WatchOptions = {
  root: string;
  /** Below `root`; files are named `<folder>/…`. */
  folders: string[];
  /** Given each file once. Must not throw. */
  onChange: (files: string[]) => Promise<void>;
};

const QUIET_MS = 100;
/** Made by the build itself: not sources, and watching them would have it build for ever. */
const MADE = /^prisma\/generated(\/|$)/;

/** @returns stop */
export function watchSources({ root, folders, onChange }: WatchOptions): () => void {
  const changed = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let isBusy = false;
  const work = async () => {
    if (isBusy || changed.size === 0) return;
    isBusy = true;
    const files = [...changed].sort();
    changed.clear();
    try {
      await onChange(files);
    } finally {
      isBusy = false; // or the next change would never be reported
    }
    await work();
  };
  const watchers = folders.map((folder) =>
    watch(`${root}/${folder}`, { recursive: true }, (_, name) => {
      const path = `${folder}/${name ?? ''}`;
      if (MADE.test(path)) return;
      changed.add(path);
      clearTimeout(timer);
      timer = setTimeout(work, QUIET_MS);
    }),
  );
  return () => {
    clearTimeout(timer);
    changed.clear();
    for (const watcher of watchers) watcher.close();
  };
}
