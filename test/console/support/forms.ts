/** Every form of the console that is sent to the API, by its own sources: what they post to, and which of them have a form that reads. */
import { readdirSync, readFileSync } from 'node:fs';

const POSTED = /\b(?:post|put)\(\s*(?:`([^`]+)`|'([^']+)')?/g;
/** Where posts are made for whoever asks for one. */
const MAKERS = ['lib/api.js'];

/** @returns paths that something in the console posts to, with `*` for what is put into them: `admin/brakes/*\/engage` */
export function postedTo(): string[] {
  const paths = sources().flatMap(([file, text]) =>
    [...text.matchAll(POSTED)].map(([call, template, plain]) => {
      const path = template?.replace(/\$\{[^}]*\}/g, '*') ?? plain;
      if (path === undefined) throw new Error(`console/${file} has ${call}…: say the path there, so that it is known`);
      return path;
    }),
  );
  return [...new Set(paths)].sort();
}

/** @returns files of views with a `<form>` that post nothing themselves: they ask for something */
export const readingForms = (): string[] =>
  sources()
    .filter(([file, text]) => !file.startsWith('lib/') && /<form\b/.test(text))
    .filter(([, text]) => !/^import .*\b(post|previewOperation)\b/m.test(text))
    .map(([file]) => file);

const sources = (): [string, string][] =>
  readdirSync('console', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js') && !MAKERS.includes(file))
    .map((file) => [file, readFileSync(`console/${file}`, 'utf8')]);
