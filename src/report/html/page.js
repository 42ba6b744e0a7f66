(() => {
  'use strict';
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const make = (name, text = '', set = {}) => Object.assign(document.createElement(name), { textContent: text }, set);

  // Amounts are whole pico-dollars, and written as the page has them.
  const PLACES = 12, FULL = 1000n;
  const sized = (number) => number < 0n ? -number : number;
  const grouped = (text) => text.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ','));
  const exact = (pico) => {
    const digits = String(sized(pico)).padStart(PLACES + 1, '0');
    const places = digits.slice(-PLACES).replace(/0+$/, '').padEnd(2, '0');
    return `${pico < 0n ? '-' : ''}${digits.slice(0, -PLACES)}.${places}`;
  };
  const rounded = (pico, places) => {
    const step = 10n ** BigInt(PLACES - places), twice = sized(pico) % step * 2n;
    let whole = sized(pico) / step;
    if (twice > step || (twice === step && whole % 2n)) whole += 1n;
    const digits = String(whole).padStart(places + 1, '0');
    return grouped(`${pico < 0n && whole ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`);
  };
  const placesFor = (largest) => sized(largest) >= 10n ** 13n ? 2 : sized(largest) >= 10n ** 11n ? 4 : 6;
  const largest = (amounts) => amounts.reduce((a, b) => a > b ? a : b, 0n);

  // Tables are sorted by the heading that is pressed: numbers from the largest, text from its beginning.
  const number = (cell) => {
    // The title of an amount has all its digits; that of a share has a count.
    const text = cell.textContent.endsWith('%') ? cell.textContent : cell.title || cell.textContent;
    const [, sign, whole, places = ''] = /(-?)([\d,]+)(?:\.(\d+))?/.exec(text) ?? [];
    return whole && BigInt(sign + whole.replaceAll(',', '') + places.padEnd(PLACES, '0'));
  };
  const compare = (a, b) => a === b ? 0 : a === undefined ? -1 : b === undefined || a > b ? 1 : -1;
  for (const table of all('table.sorts'))
    for (const heading of table.tHead.rows[0].cells) {
      if (!heading.textContent || heading.className === 'graph') continue;
      const button = make('button', heading.textContent, { type: 'button' });
      heading.replaceChildren(button);
      button.addEventListener('click', () => {
        const at = heading.cellIndex, body = table.tBodies[0], isText = at === 0 || heading.className === 'text';
        const before = heading.getAttribute('aria-sort') ?? (isText ? 'descending' : 'ascending');
        const up = before === 'descending';
        all('[aria-sort]', table).forEach((other) => other.removeAttribute('aria-sort'));
        heading.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        const order = (a, b) => isText ? a.textContent.localeCompare(b.textContent) : compare(number(a), number(b));
        body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(a.cells[at], b.cells[at])));
      });
    }

  // The page's cells: for each time and feature, model and lane what was spent on them, without their names.
  const data = document.getElementById('cells');
  if (!data) return;
  const [columns, ...lines] = data.textContent.trim().split('\n').map((line) => line.split(','));
  const KEYS = ['period', 'feature', 'model', 'lane'];
  const keys = KEYS.filter((key) => columns.includes(key)), counted = columns.filter((name) => !KEYS.includes(name));
  const cells = lines.map((line) => Object.fromEntries(columns.map((name, at) =>
    [name, KEYS.includes(name) ? Number(line[at]) : BigInt(line[at] || 0)])));
  const followsAll = keys.length === KEYS.length;
  const nothing = () => Object.fromEntries(counted.map((name) => [name, 0n]));
  const add = (sum, more) => { for (const name of counted) sum[name] += more[name]; return sum; };

  // What a sum says, as `mod.rs` and `tables.rs` write it: what is shown, and what where the pointer rests.
  const priced = (sum) => sum.calls - sum.partial - sum.unpriced;
  const compared = (sum) => sum.calls - sum.uncompared;
  const saved = (sum) => sum.routing + sum.lane_saved + sum.cache;
  const baseline = (sum) => sum.cost - sum.beside + saved(sum);
  const ended = (sum) => sum.failed + sum.unanswered + sum.cut_short + sum.abandoned + sum.unreported;
  const marked = (sum, text) => sum.calls && sum.calls === sum.unpriced ? '?' : priced(sum) < sum.calls ? `≥ ${text}` : text;
  const cost = (sum, pico, places) => [rounded(pico, places), exact(pico)].map((text) => marked(sum, text));
  const saving = (sum, pico, places) => compared(sum) ? [rounded(pico, places), exact(pico)] : ['–', '–'];
  const count = (number) => [grouped(String(number))];
  const percent = (mille) => `${mille < 0n ? '-' : ''}${sized(mille) / 10n}.${sized(mille) % 10n}%`;
  const share = (part, whole) => whole ? percent(part * 1000n / whole) : '–';
  const shareSaved = (part, whole) => whole
    ? percent((part * 1000n + sized(whole) / 2n * (part < 0n === whole < 0n ? 1n : -1n) * (part ? 1n : 0n)) / whole) : '–';
  const figures = {
    cost: (sum, places = 2) => cost(sum, sum.cost, places),
    each: (sum) => sum.calls ? cost(sum, sum.cost / sum.calls, 6) : ['–', ''],
    exactly: (sum) => [share(priced(sum), sum.calls), `${priced(sum)} calls`],
    priced: (sum) => count(priced(sum)),
    compared: (sum) => count(compared(sum)),
    baseline: (sum, places) => saving(sum, baseline(sum), places),
    routing: (sum, places) => saving(sum, sum.routing, places),
    lane_saved: (sum, places) => saving(sum, sum.lane_saved, places),
    cache: (sum, places) => saving(sum, sum.cache, places),
    saved: (sum, places = 2) => saving(sum, saved(sum), places),
    share_saved: (sum) => [shareSaved(saved(sum), baseline(sum))],
    share_cached: (sum) => [share(sum.cached, sum.input)],
    share_ended: (sum) => [share(ended(sum), sum.calls)],
    ended: (sum) => count(ended(sum)),
    attempts: (sum) => count(sum.calls + sum.repeats),
    succeeded: (sum) => count(sum.calls - ended(sum)),
  };
  const show = (element, name, sum, places) => {
    const [text, title] = (figures[name] ?? ((sum) => count(sum[name])))(sum, places);
    element.textContent = text;
    if (title !== undefined) element.title = title;
  };

  // What the reader chose, and what it adds up to.
  const box = document.getElementById('over-time'), chart = box.querySelector('table');
  const periods = [...chart.tBodies[0].rows].map((row) => row.cells[0].textContent);
  const plot = box.querySelector('.plot'), svg = plot.querySelector('svg'), paths = all('path', svg);
  const series = (feature) => Math.min(feature, paths.length - 1);
  // Features that are left out are known by their names, so that a page with newer figures leaves out the same.
  const titles = all('#features table').slice(0, 1).flatMap((table) =>
    [...table.tBodies[0].rows].map((row) => row.cells[0].title || row.cells[0].textContent));
  const apart = followsAll ? titles.length : all('path:not(.f11)', svg).length;
  const titleOf = (feature) => feature < apart ? titles[feature] : '';
  const left = new Set(JSON.parse(box.dataset.left ?? '[]'));
  const chosen = Array.from({ length: Math.max(...cells.map((cell) => cell.feature)) + 1 }, (_, at) => !left.has(titleOf(at)));
  const range = { from: 0, to: periods.length - 1 };
  const isWhole = () => chosen.every(Boolean) && range.from === 0 && range.to === periods.length - 1;
  const sums = () => {
    const total = nothing(), by = Object.fromEntries(keys.map((key) => [key, []]));
    const spent = periods.map(() => paths.map(nothing));
    for (const cell of cells.filter((cell) => chosen[cell.feature])) {
      add(spent[cell.period][series(cell.feature)], cell);
      if (cell.period < range.from || cell.period > range.to) continue;
      add(total, cell);
      for (const key of keys) add(by[key][cell[key]] ??= nothing(), cell);
    }
    return { total, by, spent };
  };

  // Tables by a key follow: a row is hidden if nothing is left of it, and stays where it is if one has sorted them.
  const tables = !followsAll ? [] : ['period', 'feature', 'model', 'lane'].flatMap((key) =>
    all(`#${key}s table`).map((table) => {
      const rows = [...table.tBodies[0].rows].map((row, at) =>
        ({ row, key: key === 'period' ? periods.indexOf(row.cells[0].textContent) : at }));
      return { table, by: key, rows, columns: [...table.tHead.rows[0].cells].map((heading) => heading.dataset.of) };
    }));
  const latencies = new Map(tables.flatMap(({ table, columns }) => all('tbody tr, tfoot tr', table).flatMap((row) =>
    [...row.cells].filter((_, at) => columns[at] === 'latency').map((cell) => [cell, cell.textContent]))));
  const fill = ({ table, by, rows, columns }, { total, by: { [by]: byKey } }) => {
    const shown = new Set(rows.map(({ key }) => key)), sum = (key) => byKey[key] ?? nothing();
    const rest = byKey.reduce((rest, more, key) => shown.has(key) ? rest : add(rest, more), nothing());
    const own = rows.map(({ key }) => sum(key)), dearest = largest(own.map((sum) => sum.cost));
    const places = { cost: placesFor(dearest), saved: placesFor(largest(own.map(baseline))) };
    const write = (row, sum) => columns.forEach((name, at) => {
      const cell = row.cells[at];
      if (name === 'latency') cell.textContent = isWhole() ? latencies.get(cell) : '–';
      else if (name) show(cell, name, sum, name === 'cost' ? places.cost : places.saved);
    });
    for (const { row, key } of rows) {
      row.hidden = !sum(key).calls;
      write(row, sum(key));
      const bar = row.querySelector('svg'), length = largest([sum(key).cost]) * FULL / (dearest || 1n);
      if (bar) bar.innerHTML = length ? `<rect class="spent" x="0" width="${length}" height="10"/>` : '';
    }
    const foot = [...table.tFoot.rows];
    write(foot.pop(), total);
    for (const row of foot) write(row, rest);
    if (table.querySelector('[aria-sort]') || by === 'period') return;
    rows.sort((a, b) => compare(sum(b.key).cost, sum(a.key).cost) || a.key - b.key);
    table.tBodies[0].append(...rows.map(({ row }) => row));
  };

  // The spend over time, and its table.
  let drawn = [], at = null;
  const sumOf = (period) => period.reduce(add, nothing());
  const axis = (most) => {
    for (let power = 1n; ; power *= 10n)
      for (const step of [power, 2n * power, 5n * power])
        if (step * 5n >= most) return { step, lines: (most + step - 1n) / step };
  };
  const place = (text, side, share, className = '') => {
    const label = make('span', text, { className });
    label.style[side] = share + '%';
    return label;
  };
  const hit = (_, at) => {
    const rect = document.createElementNS(svg.namespaceURI, 'rect');
    for (const [name, value] of Object.entries({ class: 'hit', x: 10 * at, width: 10, height: 1000 }))
      rect.setAttribute(name, value);
    rect.addEventListener('pointerenter', () => point(at));
    return rect;
  };
  const draw = (spent) => {
    drawn = spent.slice(range.from, range.to + 1);
    const above = (amount) => amount < 0n ? 0n : amount;
    const most = largest([1n, ...drawn.map((period) => period.reduce((sum, part) => sum + above(part.cost), 0n))]);
    const { step, lines } = axis(most), top = step * lines;
    const reached = drawn.map(() => 0n);
    paths.forEach((path, of) => path.setAttribute('d', drawn.map((period, at) => {
      const from = reached[at] * FULL / top;
      reached[at] += above(period[of].cost);
      const to = reached[at] * FULL / top;
      return to > from ? `M${10 * at + 1} ${FULL - from}h8v-${to - from}h-8z` : '';
    }).join('')));
    svg.setAttribute('viewBox', `0 0 ${10 * Math.max(drawn.length, 1)} 1000`);
    all('.hit', svg).forEach((old) => old.remove());
    svg.append(...drawn.map(hit));
    const ticks = Array.from({ length: Number(lines) + 1 }, (_, line) => BigInt(line)), height = (line) => line * 100n / lines;
    all('.line', plot).forEach((old) => old.remove());
    plot.prepend(...ticks.slice(1).map((line) => place('', 'bottom', height(line), 'line')));
    box.querySelector('.ys').replaceChildren(...ticks.map((line) =>
      place(grouped(exact(line * step).replace(/\.00$/, '')), 'bottom', height(line))));
    const labels = Math.min(6, drawn.length);
    box.querySelector('.xs').replaceChildren(...Array.from({ length: labels }, (_, label) => {
      const at = labels < 2 ? 0 : Math.floor(label * (drawn.length - 1) / (labels - 1));
      return place(periods[range.from + at], 'left', Math.floor((2 * at + 1) * 5000 / drawn.length) / 100);
    }));
    const shown = [true, true, ...paths.map((_, of) => chosen.some((is, feature) => is && series(feature) === of))];
    for (const row of [...chart.tHead.rows, ...chart.tBodies[0].rows])
      [...row.cells].forEach((cell, column) => { cell.hidden = !shown[column]; });
    [...chart.tBodies[0].rows].forEach((row, period) => {
      row.hidden = period < range.from || period > range.to;
      [sumOf(spent[period]), ...spent[period]].forEach((sum, column) => {
        const cell = row.cells[column + 1];
        if (sum.calls) show(cell, 'cost', sum, placesFor(sum.cost));
        else { cell.textContent = ''; cell.removeAttribute('title'); }
      });
    });
    point(null);
  };

  // What stands under the pointer, or where the arrow keys went.
  const tip = make('div', '', { id: 'tip', hidden: true });
  tip.setAttribute('role', 'status');
  document.body.append(tip);
  const point = (to) => {
    at = to;
    const hits = all('.hit', svg);
    hits.forEach((rect, place) => rect.classList.toggle('on', place === at));
    tip.hidden = at === null;
    if (at === null) return tip.replaceChildren();
    const list = make('table'), sum = sumOf(drawn[at]), text = (sum) => marked(sum, exact(sum.cost));
    const line = (name, text) => {
      const row = list.insertRow();
      row.append(make('th', name, { scope: 'row' }), make('td', text));
    };
    line(periods[range.from + at], `${text(sum)} USD`);
    drawn[at].map((sum, of) => ({ sum, name: chart.tHead.rows[0].cells[of + 2].textContent }))
      .filter(({ sum }) => sum.calls)
      .sort((a, b) => compare(b.sum.cost, a.sum.cost))
      .slice(0, 6)
      .forEach(({ name, sum }) => line(name, text(sum)));
    tip.replaceChildren(list);
    const where = hits[at].getBoundingClientRect(), size = tip.getBoundingClientRect();
    const right = where.right + 8 + size.width < innerWidth;
    tip.style.left = Math.max(8, right ? where.right + 8 : where.left - 8 - size.width) + 'px';
    tip.style.top = Math.max(8, Math.min(innerHeight - size.height - 8, where.top + 16)) + 'px';
  };
  all('title', svg).forEach((title) => title.remove());
  plot.addEventListener('pointerleave', () => point(null));
  plot.tabIndex = 0;
  plot.setAttribute('role', 'group');
  plot.setAttribute('aria-label', 'Spend over time; left and right choose a column');
  plot.addEventListener('keydown', (event) => {
    const last = drawn.length - 1;
    const to = { ArrowRight: at === null ? 0 : Math.min(last, at + 1), ArrowLeft: at === null ? last : Math.max(0, at - 1),
      Home: 0, End: last }[event.key];
    if (event.key === 'Escape') point(null);
    if (to === undefined) return;
    event.preventDefault();
    point(to);
  });
  plot.addEventListener('blur', () => point(null));

  // The reader's choice: a range of time, and features.
  const output = make('output'), hint = make('span', '', { className: 'note' });
  const select = (id, name, options, change) => {
    const label = make('label', name + ' '), select = make('select', '', { id });
    select.append(...options.map(([value, text]) => make('option', text, { value })));
    select.addEventListener('change', () => { change(select.value); narrow(); });
    label.append(select);
    return { label, select };
  };
  const choose = (is) => chosen.forEach((_, feature) => { chosen[feature] = is(feature); });
  const times = periods.map((name, at) => [at, name]);
  const from = select('from', 'From', times, (at) => { range.from = Number(at); range.to = Math.max(range.to, range.from); });
  const to = select('to', 'to', times, (at) => { range.to = Number(at); range.from = Math.min(range.from, range.to); });
  const names = all('#features table:first-of-type').slice(0, 1).flatMap((table) =>
    [...table.tBodies[0].rows, ...[...table.tFoot.rows].slice(0, -1)].map((row, at) => [at, row.cells[0].textContent]));
  const feature = select('feature', 'Feature', [['all', 'all'], ['some', 'as marked below'], ...names],
    (one) => choose((feature) => one === 'all' || (one === 'some' ? chosen[feature] : feature === Number(one))));
  const boxes = all('.legend li', box).map((item, of) => {
    const label = make('label'), check = make('input', '', { type: 'checkbox' });
    label.append(check, ' ', ...item.childNodes);
    item.append(label);
    check.addEventListener('change', () => {
      choose((feature) => series(feature) === of ? check.checked : chosen[feature]);
      narrow();
    });
    return check;
  });
  const every = (name, is) => {
    const button = make('button', name, { type: 'button' });
    button.addEventListener('click', () => { choose(() => is); narrow(); });
    return button;
  };
  const controls = make('div', '', { className: 'controls narrowing' });
  controls.append(from.label, to.label, ...(followsAll ? [feature.label] : []), output, hint);
  document.querySelector('.tiles').before(controls);
  const buttons = make('div', '', { className: 'controls' });
  buttons.append(every('All features', true), every('None', false));
  box.querySelector('.chart').before(buttons);

  const follow = ['over-time', ...(followsAll ? KEYS.map((key) => key + 's') : [])];
  const narrow = () => {
    const found = sums();
    box.dataset.left = JSON.stringify([...chosen.keys()].filter((feature) => !chosen[feature]).map(titleOf));
    tables.forEach((table) => fill(table, found));
    all('.tiles [data-of]').forEach((element) => show(element, element.dataset.of, found.total));
    draw(found.spent);
    const one = chosen.filter(Boolean).length === 1;
    from.select.value = range.from;
    to.select.value = range.to;
    feature.select.value = chosen.every(Boolean) ? 'all' : one ? chosen.indexOf(true) : 'some';
    boxes.forEach((check, of) => {
      const own = chosen.filter((_, feature) => series(feature) === of);
      check.checked = own.some(Boolean);
      check.indeterminate = check.checked && !own.every(Boolean);
    });
    output.textContent = `${marked(found.total, exact(found.total.cost))} USD`;
    hint.textContent = isWhole() ? '' : 'Narrowed. Latencies of a part cannot be told; what does not follow says so.';
    all('.whole').forEach((old) => old.remove());
    if (isWhole()) return;
    const still = () => make('p', 'Of all days and features: this does not follow.', { className: 'note whole' });
    all('section').filter((section) => !follow.includes(section.id))
      .forEach((section) => section.querySelector('h2').after(still()));
    all('.tile').filter((tile) => !tile.querySelector('[data-of]'))
      .forEach((tile) => tile.append(make('dd', still().textContent, { className: 'note whole' })));
  };
  narrow();
})();
