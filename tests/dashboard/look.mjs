// Opens a page in Chromium, uses it as a reader would, and prints what was seen as JSON: node look.mjs PAGE [PICTURES].
// With a directory for PICTURES it also takes them. Packages are found in THRIFTY_BROWSER, Chromium in CHROMIUM.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.env.THRIFTY_BROWSER, 'package.json'));
const { chromium } = require('playwright-core');
const axe = require('axe-core').source;
const [path, pictures] = process.argv.slice(2);
const page = pathToFileURL(path).href;
const seen = { requests: [], complaints: [], violations: [], overflow: [] };
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });

const open = async (name, options) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const tab = await context.newPage();
  tab.on('request', (request) => { if (request.url() !== page) seen.requests.push(request.url()); });
  tab.on('console', (line) => {
    if (['error', 'warning'].includes(line.type())) seen.complaints.push(`${name}: ${line.text()}`);
  });
  tab.on('pageerror', (error) => seen.complaints.push(`${name}: ${error.message}`));
  tab.on('dialog', (dialog) => { seen.complaints.push(`${name}: a dialog`); dialog.dismiss(); });
  await tab.goto(page);
  if (pictures) await tab.screenshot({ path: join(pictures, `${name}.png`) });
  return tab;
};

const check = async (name, tab, part) => {
  await tab.evaluate(() => document.querySelectorAll('details').forEach((each) => { each.open = true; }));
  if (await tab.evaluate(() => document.documentElement.scrollWidth > innerWidth)) seen.overflow.push(name);
  if (!part) return;
  await tab.evaluate(axe);
  const found = await tab.evaluate((part) => globalThis.axe.run(part), part);
  for (const { id, nodes } of found.violations)
    seen.violations.push(`${name}: ${id}: ${nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ')}`);
};

const tables = (tab) => tab.evaluate(() => Object.fromEntries([...document.querySelectorAll('.wide')].map((region) => {
  const cell = (of) => [of.textContent, of.title];
  const rows = (part) => [...part.rows].map((row) => [...row.cells].map(cell));
  const table = region.querySelector('table');
  return [region.getAttribute('aria-label'), {
    head: [...table.tHead.rows[0].cells].map((of) => of.textContent),
    body: [...table.tBodies].flatMap(rows), foot: table.tFoot ? rows(table.tFoot) : [] }];
})));

const shapes = (tab) => tab.evaluate(() => [...document.querySelectorAll('.plot path')].map((path) => path.getAttribute('d')));

for (const colorScheme of ['light', 'dark'])
  for (const width of [1280, 390]) {
    const name = `${colorScheme}-${width}`;
    const tab = await open(name, { colorScheme, viewport: { width, height: width === 390 ? 844 : 900 } });
    // axe-core takes long for a large page, and finds colours by the scheme and sizes by the width.
    await check(name, tab, (colorScheme === 'dark') === (width === 390) ? 'html' : null);
  }

const still = await open('scripts-off', { javaScriptEnabled: false });
seen.tables = await tables(still);
seen.tiles = await still.evaluate(() => Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => [
  tile.querySelector('dt').textContent,
  [tile.querySelector('.figure').textContent, tile.querySelector('.figure [title]')?.title ?? '']])));
seen.caveats = await still.evaluate(() => [...document.querySelectorAll('#coverage li')].map((line) => line.textContent));
seen.controls_without_scripts = await still.evaluate(() => document.querySelectorAll('button, input, select').length);
const drawn_without_scripts = await shapes(still);
await still.close();

const tab = await open('used', {});
seen.title = await tab.title();
seen.same_tables = JSON.stringify(await tables(tab)) === JSON.stringify(seen.tables);
seen.same_drawing = JSON.stringify(await shapes(tab)) === JSON.stringify(drawn_without_scripts);

if (seen.tables['Spend by feature']) {
  // Sorting: by cost the larger first, then the smaller; by name.
  const heading = tab.locator('#features table').first().locator('thead th');
  const order = async () => (await tables(tab))['Spend by feature'].body.map((row) => row[2][1]);
  seen.sorted = {};
  for (const way of ['descending', 'ascending']) {
    await heading.filter({ hasText: /^cost$/ }).getByRole('button').click();
    seen.sorted[way] = [await order(), await tab.locator('#features [aria-sort]').getAttribute('aria-sort')];
  }

  // The tooltip: by the pointer, by keys, and gone again.
  const tip = tab.locator('#tip');
  await tab.locator('.plot').scrollIntoViewIfNeeded();
  const plot = await tab.locator('.plot').boundingBox();
  await tab.mouse.move(plot.x + 2, plot.y + plot.height / 2);
  await tab.mouse.move(plot.x + 4, plot.y + plot.height / 2);
  seen.tip = await tip.textContent();
  if (pictures) await tab.screenshot({ path: join(pictures, 'tooltip.png') });
  await tab.mouse.move(2, 2);
  seen.tip_left = await tip.isVisible();
  await tab.locator('.plot').focus();
  await tab.keyboard.press('End');
  seen.tip_by_keys = await tip.textContent();
  await tab.keyboard.press('Escape');
  seen.tip_escaped = await tip.isVisible();

  // Filters: one feature, and the days from a tenth to a half of the way.
  const selects = tab.locator('#over-time select'), count = await selects.first().locator('option').count();
  const [from, to] = [Math.floor(count / 10), Math.floor(count / 2)];
  await tab.getByRole('button', { name: 'None', exact: true }).click();
  seen.selected_none = await tab.locator('#over-time output').textContent();
  await tab.locator('.legend input').first().check();
  await selects.nth(0).selectOption({ index: from });
  await selects.nth(1).selectOption({ index: to });
  seen.selected = {
    feature: await tab.locator('.legend li').first().textContent(),
    from: await selects.nth(0).locator('option').nth(from).textContent(),
    to: await selects.nth(1).locator('option').nth(to).textContent(),
    cost: await tab.locator('#over-time output').textContent() };
  await tab.locator('#over-time details').evaluate((details) => { details.open = true; });
  seen.rows_selected = [await tab.locator('#over-time tbody tr:visible').count(), to - from + 1];
  await check('filtered', tab, '#over-time');
  await tab.getByRole('button', { name: 'All features' }).click();
  await selects.nth(1).selectOption({ index: count - 1 });
  await selects.nth(0).selectOption({ index: 0 });
  seen.drawn_as_before = JSON.stringify(await shapes(tab)) === JSON.stringify(drawn_without_scripts);
}
await browser.close();
console.log(JSON.stringify(seen));
