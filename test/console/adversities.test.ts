/**
 * Every form of the console while things go wrong between it and the API: nothing answers, the token is refused, too much was asked, the
 * request is wrong, the answer is lost. It says what to do, keeps what was typed, and in the end has done what was asked once.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Locator, Page } from 'playwright-core';
import { auditKeys } from '../../domain/audit/signatures.js';
import { startOperations } from '../../workers/operations/runner.js';
import { cleanUp, newFolder, startIssuer } from '../issuer/support.js';
import { SILENT, type TestApi } from '../support/api.js';
import { describeWithChromium } from './support/chromium.js';
import { FORMS, NOT_FORMS } from './support/every-form.js';
import { postedTo, readingForms } from './support/forms.js';
import { type ReverseProxy, RETRY_AFTER_S, startProxy, TROUBLES, type Trouble } from './support/proxy.js';
import { signIn, signInAgain } from './support/sign-in.js';
import { type ConsoleStack, SHORT, startConsoleStack } from './support/stack.js';

let s: ConsoleStack;
let api: TestApi;
let proxy: ReverseProxy;
let stopRunner: () => Promise<void>;
beforeAll(async () => {
  s = await startConsoleStack();
  const issuer = await startIssuer(await newFolder());
  api = await s.startApi({ authentication: { issuer: issuer.url, audience: 'order-saga', rolesClaim: 'roles' } });
  proxy = await startProxy(api.port, '/shop/ops');
  stopRunner = startOperations({
    ...{ db: s.db, keys: auditKeys([]), client: () => s.client, where: 'test/default', policy: SHORT, logger: SILENT },
  });
}, 120_000);
afterAll(async () => {
  await proxy?.stop();
  await stopRunner?.();
  await api?.stop();
  await cleanUp();
  await s?.stopAll();
});

const typedIn = (page: Page) =>
  page.evaluate<[string, string][]>(
    `[...document.querySelectorAll('input[type=text], textarea, select')].map(({ id, value }) => [id, value])`,
  );
/** What the page shows of an act whose answer is lost may be what it has come to: then its form is done with. */
const inDialog = (typed: [string, string][]) => typed.filter(([id]) => id.startsWith('confirm-'));

/** On record; what workers do of an operation has its way and its reason, too, and the operation for a correlation id. */
async function actsOf(form: string, reason: string): Promise<number> {
  const way = new RegExp(`^POST /${form.replaceAll('*', '[^/]+')}$`);
  const acts = await s.db.auditAct.findMany({ where: { reason, kind: 'act' } });
  const operations = new Set(acts.map(({ resource }) => resource));
  return acts.filter(({ route, correlationId }) => way.test(route) && !operations.has(correlationId ?? '')).length;
}

/** What the page says then, and what it is about. */
const TOLD: Record<Trouble, RegExp> = {
  gone: /The API does not answer just now\. Nothing that you typed is lost/,
  'token-refused': /Nothing on this page is lost/,
  'too-many': new RegExp(`At most 10 acts a minute[\\s\\S]*(again in|after) [1-${RETRY_AFTER_S}] s`),
  wrong: /reason|action|limit|\bq\b/,
  'answer-lost': /The API does not answer just now\. Nothing that you typed is lost/,
};

/** All of them in the full run; else one a form, another at the next one, so that each is met and each form meets one. */
function troublesOf(nth: number): readonly Trouble[] {
  if (process.env['FULL'] === '1') return TROUBLES;
  return [TROUBLES[nth % TROUBLES.length] as Trouble];
}

test('every form that the console’s sources have is here, and no other', () => {
  expect(Object.keys(FORMS).sort()).toEqual(
    [...postedTo().filter((path) => !NOT_FORMS.includes(path)), ...readingForms()].sort(),
  );
});

describeWithChromium('a form, whatever goes wrong,', (open) => {
  test.each(Object.entries(FORMS).map(([name, make], nth) => [name, make, nth] as const))(
    'keeps what was typed, says what to do, and is done once: %s',
    async (name, make, nth) => {
      const form = await make(s);
      const isReading = name.endsWith('.js');
      const isAct = !isReading && name !== 'admin/operations/preview';
      const reason = `ticket ${name.replaceAll(/[^a-z]/g, '-')}`;
      const { page } = await open(proxy.url, { view: form.view, requestsMayFail: true });
      await signIn(page);
      await form.fill(page);
      const within: Page | Locator = isAct ? page.getByRole('dialog') : page.locator('main');
      if (isAct) await within.getByLabel('Reason').fill(reason);
      if (form.typed !== undefined) await within.getByLabel(/^Type/).fill(form.typed);
      const typed = await typedIn(page);
      const send = () => within.getByRole('button', { name: form.button }).last().click();
      const of = isReading ? /^GET \/admin\/(search|orders|audit\/entries)/ : /^POST /;
      const kept = (kind: Trouble, fields: [string, string][]) =>
        isAct && kind === 'answer-lost' ? inDialog(fields) : fields;
      for (const kind of troublesOf(nth).filter((each) => each !== 'too-many' || !form.isPatient)) {
        proxy.trouble = { kind, of };
        await send();
        await within.getByText(TOLD[kind]).first().waitFor();
        expect({ kind, typed: kept(kind, await typedIn(page)) }).toEqual({ kind, typed: kept(kind, typed) });
        proxy.trouble = undefined;
        if (kind === 'token-refused') await signInAgain(page);
      }
      if (form.isPatient) proxy.trouble = { kind: 'too-many', of };
      await send();
      if (form.isPatient) await within.getByText('Under way …').waitFor();
      proxy.trouble = undefined;
      await page.getByText(form.done).first().waitFor();
      if (isAct) expect(await actsOf(name, reason)).toBe(1);
    },
  );
});
