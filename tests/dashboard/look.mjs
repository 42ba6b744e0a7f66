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

// What is shown: hidden rows and columns are not.
const tables = (tab) => tab.evaluate(() => Object.fromEntries([...document.querySelectorAll('.wide')].map((region) => {
  const cells = (row, read) => [...row.cells].filter((of) => !of.hidden).map(read);
  const rows = (part) => [...part.rows].filter((row) => !row.hidden).map((row) => cells(row, (of) => [of.textContent, of.title]));
  const table = region.querySelector('table');
  return [region.getAttribute('aria-label'), {
    head: cells(table.tHead.rows[0], (of) => of.textContent),
    body: [...table.tBodies].flatMap(rows), foot: table.tFoot ? rows(table.tFoot) : [] }];
})));
const tiles = (tab) => tab.evaluate(() => Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => [
  tile.querySelector('dt').textContent, {
    figure: [tile.querySelector('.figure').textContent, tile.querySelector('.figure [title]')?.title ?? ''],
    note: [tile.querySelector('.note').textContent, tile.querySelector('.note [title]')?.title ?? ''] }])));

// What is drawn: shapes, bars, and the axes with their labels.
const drawing = (tab) => tab.evaluate(() => [
  ...[...document.querySelectorAll('.plot path')].map((path) => path.getAttribute('d')),
  ...[...document.querySelectorAll('td.graph svg')].map((svg) => svg.innerHTML),
  ...[...document.querySelectorAll('.line, .ys span, .xs span')].map((at) => [at.textContent, at.style.bottom, at.style.left]),
]);
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

for (const colorScheme of ['light', 'dark'])
  for (const width of [1280, 390]) {
    const name = `${colorScheme}-${width}`;
    const tab = await open(name, { colorScheme, viewport: { width, height: width === 390 ? 844 : 900 } });
    // axe-core takes long for a large page, and finds colours by the scheme and sizes by the width.
    await check(name, tab, (colorScheme === 'dark') === (width === 390) ? 'html' : null);
  }

const still = await open('scripts-off', { javaScriptEnabled: false });
seen.tables = await tables(still);
seen.tiles = await tiles(still);
seen.caveats = await still.evaluate(() => [...document.querySelectorAll('#coverage li')].map((line) => line.textContent));
seen.controls_without_scripts = await still.evaluate(() => document.querySelectorAll('button, input, select').length);
seen.span = await still.locator('header p').textContent();
seen.notes = await still.evaluate(() => [...document.querySelectorAll('section p')].map((line) => line.textContent));
const drawn_without_scripts = await drawing(still);
await still.close();

const tab = await open('used', {});
seen.title = await tab.title();
const asMade = async () => same(await tables(tab), seen.tables) && same(await tiles(tab), seen.tiles);
seen.same_tables = await asMade();
seen.same_drawing = same(await drawing(tab), drawn_without_scripts);

if (seen.tables['Spend by feature']) {
  // Sorting: every column of every table, twice; and as a reader does it.
  seen.sorted = await tab.evaluate(() => [...document.querySelectorAll('.wide thead button')].flatMap((button) => [1, 2].map(() => {
    button.click();
    const heading = button.closest('th'), table = heading.closest('table');
    return { table: table.parentElement.getAttribute('aria-label'), column: heading.textContent, at: heading.cellIndex,
      way: heading.getAttribute('aria-sort'),
      cells: [...table.tBodies[0].rows].map(({ cells: { [heading.cellIndex]: cell } }) => [cell.textContent, cell.title]) };
  })));
  await tab.reload();
  const cost = tab.locator('#features table').first().locator('thead th').filter({ hasText: /^cost$/ });
  await cost.getByRole('button').focus();
  await tab.keyboard.press('Enter');
  seen.sorted_by_key = await cost.getAttribute('aria-sort');

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

  // Narrowing: one feature as the legend marks it, and the days from a tenth to a half of the way.
  const [from, to, feature] = ['from', 'to', 'feature'].map((id) => tab.locator(`select#${id}`));
  const count = await from.locator('option').count(), output = tab.locator('.narrowing output');
  await tab.getByRole('button', { name: 'None', exact: true }).click();
  seen.selected_none = await output.textContent();
  await tab.locator('.legend input').first().check();
  const [first, last] = [Math.floor(count / 10), Math.floor(count / 2)];
  await from.selectOption({ index: first });
  await to.selectOption({ index: last });
  const narrowed = async () => ({
    feature: await feature.evaluate((select) => select.selectedOptions[0].textContent),
    from: await from.evaluate((select) => select.selectedOptions[0].textContent),
    to: await to.evaluate((select) => select.selectedOptions[0].textContent),
    cost: await output.textContent(), tables: await tables(tab), tiles: await tiles(tab),
    still: await tab.evaluate(() => [...document.querySelectorAll('.whole')].map((said) => said.closest('section')?.id ?? said.closest('.tile').firstChild.textContent)) });
  seen.narrowed = [await narrowed()];
  await check('narrowed', tab, { include: [['#over-time'], ['.narrowing'], ['.tiles']] });
  if (pictures) await tab.screenshot({ path: join(pictures, 'narrowed.png') });
  // The last feature, which may be one of those that the chart adds up; and two of them.
  await feature.selectOption({ index: await feature.locator('option').count() - 1 });
  seen.narrowed.push(await narrowed());
  await tab.locator('.legend input').first().check();
  seen.two = await feature.evaluate((select) => select.selectedOptions[0].textContent);
  await tab.getByRole('button', { name: 'All features' }).click();
  await to.selectOption({ index: count - 1 });
  await from.selectOption({ index: 0 });
  await cost.getByRole('button').click();
  await cost.getByRole('button').click();
  seen.as_before = same(await drawing(tab), drawn_without_scripts) && await asMade();
}
await browser.close();
console.log(JSON.stringify(seen));
