/** The pools with their chart, and who waits for whom. */
export const POOL_SCRIPT = String.raw`
function showPool(panel) {
  keyed(panel, [...state.pools.values()], (pool) => pool.engine, poolCard);
}

function poolCard(pool) {
  return h('section', { class: 'card', 'aria-label': 'Pool of ' + pool.engine },
    h('h2', {}, pool.engine),
    h('p', {}, pool.onLoan + ' on loan, ' + pool.idle + ' idle, ' + pool.waiting + ' waiting; at most ' + pool.max + '.'),
    chart(pool),
    h('p', { class: 'site' }, 'Filled: on loan. Dashed: the most there can be.' + (hasWaiters(pool) ? ' Red: waiting.' : '')),
    h('h3', {}, 'Who has a connection'),
    pool.holders.length === 0 ? h('p', {}, 'All of them are free.') : h('div', { class: 'table' }, h('table', {},
      h('thead', {}, h('tr', {}, ['Session', 'For', 'Since'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, pool.holders.map((holder) => h('tr', {},
        h('td', {}, holder.pid === undefined ? '' : String(holder.pid)),
        h('td', {}, holder.label, holder.site ? h('div', { class: 'sql' }, holder.site) : ''),
        h('td', {}, ms(holder.since))))))));
}

const hasWaiters = (pool) => pool.samples.some((sample) => sample[2] > 0);

/** Areas of the connections on loan, and above them the line of those that wait. */
function chart(pool) {
  const top = Math.max(pool.max, ...pool.samples.map((sample) => Math.max(sample[1], sample[2])), 1);
  const y = (value) => (100 - (value / top) * 96).toFixed(1);
  const step = 600 / Math.max(1, pool.samples.length - 1);
  const points = (at) => pool.samples.map((sample, index) => (index * step).toFixed(1) + ',' + y(sample[at])).join(' ');
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 600 100');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'Connections on loan and callers that wait, over time');
  const shape = (name, attributes) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
    svg.append(node);
  };
  shape('line', { class: 'max', x1: 0, x2: 600, y1: y(pool.max), y2: y(pool.max) });
  if (pool.samples.length > 1) {
    shape('polygon', { class: 'loan', points: '0,100 ' + points(1) + ' 600,100' });
    if (hasWaiters(pool)) shape('polyline', { class: 'line', points: points(2) });
  }
  return svg;
}

function showLocks(panel) {
  if (panel.tree === undefined) {
    panel.none = empty('No session waits for another one.');
    panel.tree = h('ul', { class: 'tree card', 'aria-label': 'Who waits for whom' });
    panel.append(panel.none, panel.tree);
  }
  panel.none.hidden = state.locks.length > 0;
  panel.tree.hidden = state.locks.length === 0;
  const text = JSON.stringify(state.locks);
  if (panel.tree.text === text) return;
  panel.tree.text = text;
  panel.tree.replaceChildren(...lockForest(state.locks));
}

function nameOf(locks, pid) {
  const label = (locks.find((lock) => lock.pid === pid) || {}).label;
  return label ? label + ' (' + pid + ')' : 'session ' + pid;
}

/** A root waits for no other session; in a ring the first session is taken for one. */
function lockForest(locks) {
  const drawn = new Set();
  const node = (lock) => {
    drawn.add(lock.pid);
    const waiting = locks.filter((other) => other.blockedBy.includes(lock.pid) && !drawn.has(other.pid));
    return h('li', {}, h('strong', {}, lock.label || lock.application || 'another application'), ' · session ' + lock.pid + ' · ',
      lock.blockedBy.length === 0 ? h('span', { class: 'warn' }, 'blocks ' + many(locks.filter((other) => other.blockedBy.includes(lock.pid)).length, 'session'))
        : h('span', { class: 'undone' }, 'waits ' + (lock.waiting === undefined ? '' : ms(lock.waiting)) + ' for ' + lock.blockedBy.map((pid) => nameOf(locks, pid)).join(', ')),
      lock.site ? h('div', { class: 'sql' }, lock.site) : '',
      lock.sql === undefined ? h('div', { class: 'site' }, 'of another application: its SQL is shown with values: true') : h('div', { class: 'sql' }, short(oneLine(lock.sql), 300)),
      waiting.length === 0 ? '' : h('ul', {}, waiting.map(node)));
  };
  const roots = locks.filter((lock) => lock.blockedBy.length === 0);
  const trees = roots.map(node);
  for (const lock of locks) if (!drawn.has(lock.pid)) trees.push(node(lock));
  return trees;
}
`;
