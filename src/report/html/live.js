(() => {
  'use strict';
  const EVERY = 3000, LONGEST = 60000, IN_USE = 10000;
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const label = (within) => within.closest('.wide')?.getAttribute('aria-label');
  const scripts = (of) => all('main ~ script', of).map((script) => script.textContent);
  const [drawing, own] = scripts(document);
  const note = Object.assign(document.createElement('p'), { id: 'live' });
  note.setAttribute('role', 'status');
  document.body.append(note);
  // Only the browser knows under which address the page is mounted. Not `location.href`: with a name and password in it
  // nothing could be fetched.
  const here = location.origin + location.pathname;
  const links = Object.assign(document.createElement('nav'), { id: 'same', textContent: 'The same as' });
  for (const [name, route] of [['JSON', 'report.json'], ['CSV', 'report.csv'], ['metrics', 'metrics']])
    links.append(' ', Object.assign(document.createElement('a'), { textContent: name, href: here.replace(/\/?$/, `/${route}`) }));
  document.querySelector('main').before(links);
  const say = (text) => { if (note.textContent !== text) note.textContent = text; };

  // While somebody points, chooses or selects, nothing moves under their hands.
  let touched = -IN_USE;
  for (const kind of ['pointerdown', 'pointermove', 'keydown'])
    addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
  const inUse = () => performance.now() - touched < IN_USE && (!getSelection().isCollapsed
    || document.getElementById('tip')?.hidden === false || document.activeElement?.tagName === 'SELECT');

  const times = () => ['from', 'to'].map((id) => document.getElementById(id)).filter(Boolean);
  // What the reader chose is chosen again on the new figures, by what it is called.
  const focusable = () => all('button, input, select, summary, [tabindex]', document.querySelector('main'));
  const called = (of) => of.id || [of.closest('section')?.id, label(of), of.tagName,
    of.getAttribute('aria-label') ?? (of.closest('li') ?? of).textContent].join('\n');
  const chosen = () => ({
    sorted: all('[aria-sort]').map((heading) => [label(heading), heading.textContent, heading.getAttribute('aria-sort')]),
    open: all('details[open]').map((details) => [details.closest('section').id, details.textContent.split('\n')[1]]),
    // A range of the only period goes on to the last one.
    days: times().map((select, isTo) => {
      const at = select.selectedIndex, ends = [[0, 'first'], [select.length - 1, 'last']];
      const end = (isTo ? ends.reverse() : ends).find(([place]) => place === at);
      return end ? end[1] : select.options[at].textContent;
    }),
    feature: document.getElementById('feature')?.selectedOptions[0].textContent,
    across: all('.wide').map((region) => [label(region), region.scrollLeft]),
    focus: focusable().includes(document.activeElement) && called(document.activeElement),
    down: scrollY,
  });
  const select = (select, to) => {
    if (to < 0 || to === select.selectedIndex) return;
    select.selectedIndex = to;
    select.dispatchEvent(new Event('change'));
  };
  const named = (select, name) => [...select.options].findIndex((option) => option.textContent === name);
  const choose = ({ sorted, open, days, feature, across, focus, down }) => {
    for (const [section, summary] of open)
      for (const details of all(`section[id="${section}"] details`))
        if (details.textContent.split('\n')[1] === summary) details.open = true;
    for (const [table, name, way] of sorted)
      for (const heading of all('thead th').filter((of) => label(of) === table && of.textContent === name))
        for (let press = 0; press < 2 && heading.getAttribute('aria-sort') !== way; press++)
          heading.querySelector('button')?.click();
    const features = document.getElementById('feature');
    if (features) select(features, named(features, feature));
    // The end is set before the beginning, which would push it.
    times().map((of, at) => [of, days[at]]).reverse().forEach(([of, day]) =>
      select(of, day === 'first' ? 0 : day === 'last' ? of.length - 1 : named(of, day)));
    for (const [name, to] of across)
      for (const region of all('.wide')) if (label(region) === name) region.scrollLeft = to;
    if (focus) focusable().find((of) => called(of) === focus)?.focus({ preventScroll: true });
    scrollTo(scrollX, down);
  };

  const swap = (fresh) => {
    const choice = chosen(), overTime = () => document.getElementById('over-time'), left = overTime()?.dataset.left;
    document.querySelector('main').replaceWith(document.adoptNode(fresh));
    if (left && overTime()) overTime().dataset.left = left;
    document.getElementById('tip')?.remove();
    // The page's policy allows this text by its hash, wherever it stands.
    const script = Object.assign(document.createElement('script'), { textContent: drawing });
    document.body.append(script);
    script.remove();
    choose(choice);
  };
  const look = async () => {
    const { version } = document.querySelector('main').dataset;
    const answer = await fetch(here,
      { cache: 'no-store', headers: { 'If-None-Match': version }, signal: AbortSignal.timeout(LONGEST) });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const main = fresh.querySelector('main[data-version]');
    if (!main) throw new Error('another page');
    const [newDrawing, newOwn] = scripts(fresh);
    if (newDrawing !== drawing || newOwn !== own) return location.reload();
    if (main.dataset.version !== version) swap(main);
  };

  let wait = EVERY, timer, looking = false, seen = new Date();
  const turn = async () => {
    clearTimeout(timer);
    if (looking || document.hidden) return;
    looking = true;
    try {
      if (!inUse()) {
        await look();
        seen = new Date();
      }
      wait = EVERY;
      say('Live: new calls appear by themselves.');
    } catch {
      wait = Math.min(2 * wait, LONGEST);
      say(`Not live: the figures of ${seen.toLocaleTimeString()}. Trying again; if it lasts, load the page anew.`);
    }
    looking = false;
    timer = setTimeout(turn, wait);
  };
  document.addEventListener('visibilitychange', turn);
  timer = setTimeout(turn, wait);
})();
