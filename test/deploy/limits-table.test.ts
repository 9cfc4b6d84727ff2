/** The README's table of limits has every limit that can be set, as it is. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { settings } from '../../runtime/settings.js';
import { variablesOf } from './text.js';

const [, section = ''] = readFileSync('README.md', 'utf8').split('\n## Limits\n');
const rows = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| `([A-Z_]+)` \| `?([^`|]*?)`? \| (.+) \| (.+) \|$/gm)];

/** A limit's name says that it is one. */
const limits = Object.keys(settings).filter((name) => /_MAX(_|$)|^RATE_LIMIT_|_PER_[A-Z]+$/.test(name));

test('each limit has one row, with its default', () => {
  expect(limits).toEqual(expect.arrayContaining(['REQUESTS_MAX', 'RATE_LIMIT_CUSTOMER', 'CONNECTIONS_MAX']));
  const example = variablesOf('.env.example');
  // One that is unset follows another, and says so in words.
  const shown = rows.map(([, name = '', value]) => `${name}=${example.get(name) === '' ? '' : value}`);
  expect(shown.sort()).toEqual(limits.map((name) => `${name}=${example.get(name)}`).sort());
});
