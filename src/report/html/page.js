(() => {
  'use strict';
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const make = (name, text = '', set = {}) => Object.assign(document.createElement(name), { textContent: text }, set);
  const written = (cell) => cell.title || cell.textContent;
  const number = (cell) => {
    const text = written(cell).replace(/[^-0-9.]/g, '');
    return text === '' || text === '-' ? -Infinity : Number(text);
  };

  // Tables are sorted by the heading that is pressed, the largest first.
  for (const table of all('table.sorts')) {
    for (const heading of table.tHead.rows[0].cells) {
      if (!heading.textContent) continue;
      const button = make('button', heading.textContent, { type: 'button' });
      heading.replaceChildren(button);
      button.addEventListener('click', () => {
        const up = heading.getAttribute('aria-sort') === 'descending';
        all('[aria-sort]', table).forEach((other) => other.removeAttribute('aria-sort'));
        heading.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        const at = heading.cellIndex, body = table.tBodies[0], sign = up ? 1 : -1;
        const isText = at === 0 || heading.className === 'text';
        const order = (a, b) => isText
          ? -written(a.cells[at]).localeCompare(written(b.cells[at]))
          : (number(a.cells[at]) - number(b.cells[at]) || 0);
        body.append(...[...body.rows].sort((a, b) => sign * order(a, b)));
      });
    }
  }

  // The spend over time is drawn again from its own table, in whole pico-dollars.
  const box = document.getElementById('over-time');
  if (!box) return;
  const PLACES = 12, FULL = 1000n;
  const pico = (cell) => {
    const text = written(cell).replace(/[^-0-9.]/g, '');
    if (!/[0-9]/.test(text)) return 0n;
    const [whole, places = ''] = text.replace('-', '').split('.');
    const size = BigInt(whole + places.padEnd(PLACES, '0'));
    return text.startsWith('-') ? -size : size;
  };
  const dollars = (amount, least = 2) => {
    const digits = String(amount < 0n ? -amount : amount).padStart(PLACES + 1, '0');
    const whole = digits.slice(0, -PLACES).replace(/\B(?=(\d{3})+$)/g, ',');
    const places = digits.slice(-PLACES).replace(/0+$/, '').padEnd(least, '0');
    return (amount < 0n ? '-' : '') + whole + (places ? '.' + places : '');
  };
  const table = box.querySelector('table');
  const names = [...table.tHead.rows[0].cells].slice(2).map((cell) => cell.textContent);
  const periods = [...table.tBodies[0].rows].map((row) => {
    const cells = [...row.cells].slice(2);
    return { row, name: row.cells[0].textContent, cells, costs: cells.map(pico),
      exact: cells.map((cell) => !/[≥?]/.test(written(cell))) };
  });
  const plot = box.querySelector('.plot'), svg = plot.querySelector('svg'), paths = all('path', svg);
  const state = { shown: names.map(() => true), from: 0, to: periods.length - 1, at: null };
  let chosen = periods;

  const sum = (period) => period.costs.reduce((all, cost, at) => state.shown[at] ? all + cost : all, 0n);
  const exact = (period) => period.exact.every((known, at) => known || !state.shown[at]);
  const axis = (largest) => {
    for (let power = 1n; ; power *= 10n)
      for (const step of [power, 2n * power, 5n * power])
        if (step * 5n >= largest) return { step, lines: (largest + step - 1n) / step };
  };
  const place = (text, side, share) => {
    const label = make('span', text);
    label.style[side] = share + '%';
    return label;
  };
  const hit = (at) => {
    const rect = document.createElementNS(svg.namespaceURI, 'rect');
    for (const [name, value] of Object.entries({ class: 'hit', x: 10 * at, width: 10, height: 1000 }))
      rect.setAttribute(name, value);
    rect.addEventListener('pointerenter', () => point(at));
    return rect;
  };
  const draw = () => {
    chosen = periods.slice(state.from, state.to + 1);
    const most = chosen.map(sum).reduce((a, b) => a > b ? a : b, 1n);
    const { step, lines } = axis(most), top = step * lines;
    const reached = chosen.map(() => 0n);
    const base = (amount) => Number((amount < 0n ? 0n : amount) * FULL / top);
    paths.forEach((path, feature) => {
      let shape = '';
      if (state.shown[feature]) chosen.forEach((period, at) => {
        const from = base(reached[at]), to = base(reached[at] + period.costs[feature]);
        reached[at] += period.costs[feature] > 0n ? period.costs[feature] : 0n;
        if (to > from) shape += `M${10 * at + 1} ${1000 - from}h8v-${to - from}h-8z`;
      });
      path.setAttribute('d', shape);
    });
    svg.setAttribute('viewBox', `0 0 ${10 * Math.max(chosen.length, 1)} 1000`);
    all('.hit', svg).forEach((old) => old.remove());
    svg.append(...chosen.map((_, at) => hit(at)));
    const ticks = Array.from({ length: Number(lines) + 1 }, (_, line) => BigInt(line));
    all('.line', plot).forEach((old) => old.remove());
    plot.prepend(...ticks.slice(1).map((line) => {
      const rule = place('', 'bottom', Number(line * 100n) / Number(lines));
      rule.className = 'line';
      return rule;
    }));
    box.querySelector('.ys').replaceChildren(
      ...ticks.map((line) => place(dollars(line * step, 0), 'bottom', Number(line * 100n) / Number(lines))));
    const labels = Math.min(6, chosen.length);
    box.querySelector('.xs').replaceChildren(...Array.from({ length: labels }, (_, label) => {
      const at = labels < 2 ? 0 : Math.floor(label * (chosen.length - 1) / (labels - 1));
      return place(chosen[at].name, 'left', (at + 0.5) * 100 / chosen.length);
    }));
    periods.forEach((period, at) => { period.row.hidden = at < state.from || at > state.to; });
    const whole = chosen.map(sum).reduce((a, b) => a + b, 0n);
    output.textContent = `${chosen.every(exact) ? '' : '≥ '}${dollars(whole)} USD`;
    point(null);
  };

  // What stands under the pointer, or where the arrow keys went.
  const tip = make('div', '', { id: 'tip', hidden: true });
  tip.setAttribute('role', 'status');
  document.body.append(tip);
  const point = (at) => {
    state.at = at;
    const hits = all('.hit', svg);
    hits.forEach((rect, place) => rect.classList.toggle('on', place === at));
    tip.hidden = at === null;
    if (at === null) return tip.replaceChildren();
    const period = chosen[at], list = make('table');
    const line = (name, text) => {
      const row = list.insertRow();
      row.append(make('th', name, { scope: 'row' }), make('td', text));
    };
    line(period.name, `${exact(period) ? '' : '≥ '}${dollars(sum(period))} USD`);
    names.map((name, feature) => ({ name, feature }))
      .filter(({ feature }) => state.shown[feature] && written(period.cells[feature]))
      .sort((a, b) => period.costs[a.feature] < period.costs[b.feature] ? 1 : -1)
      .slice(0, 6)
      .forEach(({ name, feature }) => line(name, written(period.cells[feature])));
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
    const last = chosen.length - 1, at = state.at;
    const to = { ArrowRight: at === null ? 0 : Math.min(last, at + 1), ArrowLeft: at === null ? last : Math.max(0, at - 1),
      Home: 0, End: last }[event.key];
    if (event.key === 'Escape') point(null);
    if (to === undefined) return;
    event.preventDefault();
    point(to);
  });
  plot.addEventListener('blur', () => point(null));

  // Which features and what time.
  const output = make('output');
  const choice = (name, at, change) => {
    const label = make('label', name + ' '), select = make('select');
    select.append(...periods.map((period, place) => make('option', period.name, { value: place })));
    select.value = at;
    select.addEventListener('change', () => { change(Number(select.value)); draw(); });
    label.append(select);
    return { label, select };
  };
  const from = choice('From', state.from, (at) => { state.from = at; if (state.to < at) to.select.value = state.to = at; });
  const to = choice('to', state.to, (at) => { state.to = at; if (state.from > at) from.select.value = state.from = at; });
  const boxes = all('.legend li', box).map((item, feature) => {
    const label = make('label'), check = make('input', '', { type: 'checkbox', checked: true });
    label.append(check, ' ', ...item.childNodes);
    item.append(label);
    check.addEventListener('change', () => { state.shown[feature] = check.checked; draw(); });
    return check;
  });
  const every = (name, checked) => {
    const button = make('button', name, { type: 'button' });
    button.addEventListener('click', () => {
      boxes.forEach((check, feature) => { check.checked = state.shown[feature] = checked; });
      draw();
    });
    return button;
  };
  const controls = make('div', '', { className: 'controls' });
  controls.append(from.label, to.label, every('All features', true), every('None', false), output);
  box.querySelector('.chart').before(controls);
  draw();
})();
