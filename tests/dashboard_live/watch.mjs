// Opens a live dashboard in Chromium, uses it, asks for changes by lines on its output, and prints what was seen as JSON:
// node watch.mjs URL. Packages are found in THRIFTY_BROWSER, Chromium in CHROMIUM.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(join(process.env.THRIFTY_BROWSER, 'package.json'));
const { chromium } = require('playwright-core');
const axe = require('axe-core').source;
const [url] = process.argv.slice(2);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const please = async (what) => { console.log(what); await answers.next(); };
const seen = { elsewhere: [], complaints: [], violations: [], holds: {} };
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
const tab = await browser.newPage({ viewport: { width: 1280, height: 900 } });
let requests = 0, expected = false;
tab.on('request', (request) => {
  requests += 1;
  if (request.url() !== url) seen.elsewhere.push(request.url());
});
tab.on('console', (line) => {
  if (['error', 'warning'].includes(line.type()) && !expected) seen.complaints.push(line.text());
});
tab.on('pageerror', (error) => seen.complaints.push(error.message));
tab.on('dialog', (dialog) => { seen.complaints.push('a dialog'); dialog.dismiss(); });

const version = () => tab.evaluate(() => document.querySelector('main').dataset.version);
const changed = (from) => tab.waitForFunction((from) => document.querySelector('main').dataset.version !== from, from, { timeout: 60000 });
const says = async (start) => {
  await tab.waitForFunction((start) => document.getElementById('live')?.textContent.startsWith(start), start, { timeout: 60000 });
  return tab.locator('#live').textContent();
};
// Of all calls, however the page is narrowed.
const calls = async () => / of (\d+) calls/.exec(await tab.locator('#coverage li').first().textContent())[1];

await tab.goto(url);
seen.said = await says('Live');
const before = await calls();
seen.links = [];
for (const link of await tab.locator('#same a').all()) {
  const answer = await fetch(await link.evaluate((link) => link.href));
  seen.links.push([await link.textContent(), answer.status, answer.headers.get('content-type').split(';')[0]]);
}

// A reader's choices.
await tab.evaluate(() => { globalThis.sameDocument = true; });
const heading = tab.locator('#features thead th', { hasText: /^calls$/ }).first();
await heading.getByRole('button').click();
await heading.getByRole('button').click();
await tab.locator('#over-time summary').click();
await tab.locator('.legend input').nth(1).uncheck();
const unchecked = await tab.locator('.legend li').nth(1).textContent();
const selects = tab.locator('select#from, select#to');
await selects.nth(0).selectOption({ index: 3 });
await selects.nth(1).selectOption({ index: 20 });
// The new feature will come first, and move what follows it by one.
await tab.locator('.legend input').nth(2).focus();
const focused = await tab.locator('.legend li').nth(2).textContent();
await tab.evaluate(() => scrollTo(0, 400));
const chosen = () => tab.evaluate(({ unchecked, focused }) => {
  const selects = [...document.querySelectorAll('select#from, select#to')];
  const boxes = [...document.querySelectorAll('.legend li')].filter((item) => item.textContent === unchecked);
  return [
    document.querySelector('#features [aria-sort]')?.getAttribute('aria-sort') === 'ascending',
    document.querySelector('#over-time details').open,
    boxes.length === 1 && !boxes[0].querySelector('input').checked,
    selects[0].selectedIndex === 3,
    selects[1].selectedIndex === 20,
    Math.abs(scrollY - 400) < 2,
    document.activeElement?.closest('li')?.textContent === focused,
    document.getElementById('feature').value === 'some',
  ];
}, { unchecked, focused });
const used = await chosen();
if (used.includes(false)) throw new Error(`the page was not used as it should be: ${used}`);

let shown = await version();
await please('record');
await changed(shown);
seen.calls = [before, await calls()];
seen.holds.same_document = await tab.evaluate(() => globalThis.sameDocument === true);
seen.holds.new_feature = await tab.evaluate(() => [...document.querySelectorAll('#features tbody th')].some((name) => name.textContent === 'brand-new <b>'));
seen.kept = await chosen();
await tab.locator('.plot').focus();
await tab.keyboard.press('End');
seen.holds.tip_works = (await tab.locator('#tip').textContent()).includes('USD') && await tab.locator('#tip').count() === 1;
await tab.keyboard.press('Escape');
await tab.evaluate(axe);
const found = await tab.evaluate(() => globalThis.axe.run('html'));
seen.violations = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ')}`);

// In a hidden tab it is paused.
const hide = (hidden) => tab.evaluate((hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}, hidden);
await hide(true);
await tab.waitForTimeout(500);
requests = 0;
shown = await version();
await please('record');
await tab.waitForTimeout(7000);
seen.requests_while_hidden = requests;
await hide(false);
await changed(shown);

// A ledger that cannot be read: the figures stay. A browser says in its console that an answer was a 503.
expected = true;
await please('break');
seen.said_when_broken = await says('Not live');
seen.holds.figures_when_broken = await tab.locator('#features tbody tr').count() > 0;
await please('mend');
seen.said_when_mended = await says('Live');
// Another feature is chosen again too.
await tab.locator('select#feature').selectOption({ label: 'ranking' });
shown = await version();
await please('record');
await changed(shown);
seen.holds.feature_chosen = await tab.locator('select#feature').evaluate((select) => select.selectedOptions[0].textContent === 'ranking')
  && await tab.locator('#features tbody tr:visible').count() === 1;
if (process.env.THRIFTY_PICTURES) {
  await tab.setViewportSize({ width: 390, height: 844 });
  await tab.emulateMedia({ colorScheme: 'dark' });
  await tab.screenshot({ path: join(process.env.THRIFTY_PICTURES, 'live.png') });
}
await browser.close();
console.log(JSON.stringify(seen));
