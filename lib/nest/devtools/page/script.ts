import { POOL_SCRIPT } from './pool-script.js';
import { REQUESTS_SCRIPT } from './requests-script.js';
import { TABLES_SCRIPT } from './tables-script.js';

/**
 * What the page does. Text of the server goes into text nodes alone, so that no label and no SQL can be
 * markup. Nodes of a list are kept by their key: what has the focus keeps it.
 */
const BASE_SCRIPT = String.raw`
'use strict';
const state = { units: new Map(), statements: new Map(), pools: new Map(), locks: [], findings: new Map(), selected: undefined };
const byId = (id) => document.getElementById(id);

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') node.style.cssText = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== false));
  return node;
}

function ms(value) {
  if (value === undefined) return '…';
  if (value < 10) return value.toFixed(2) + ' ms';
  if (value < 1000) return Math.round(value) + ' ms';
  return (value / 1000).toFixed(value < 10000 ? 2 : 0) + ' s';
}
const many = (count, one) => count + ' ' + one + (count === 1 ? '' : 's');
const oneLine = (text) => text.replace(/\s+/g, ' ').trim();
const short = (text, length) => (text.length > length ? text.slice(0, length - 1) + '…' : text);
const empty = (text) => h('p', { class: 'empty' }, text);

/**
 * Puts one node for each item into parent, in their order; a node is made anew only when its item's text has
 * changed.
 */
function keyed(parent, items, keyOf, make) {
  const known = parent.nodes || (parent.nodes = new Map());
  const seen = new Set();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const text = JSON.stringify(item);
    seen.add(key);
    let entry = known.get(key);
    if (entry === undefined || entry.text !== text) {
      const hadFocus = entry !== undefined && entry.node.contains(document.activeElement);
      const node = make(item);
      if (entry !== undefined) entry.node.replaceWith(node);
      if (entry !== undefined && entry.node === place) place = node;
      if (hadFocus) (node.matches('button') ? node : node.querySelector('button'))?.focus();
      entry = { node, text };
      known.set(key, entry);
    }
    if (entry.node === place) place = place.nextSibling;
    else parent.insertBefore(entry.node, place);
  }
  for (const [key, entry] of known) {
    if (seen.has(key)) continue;
    entry.node.remove();
    known.delete(key);
  }
}
`;

const START_SCRIPT = String.raw`
const views = { requests: showRequests, statements: showStatements, pool: showPool, locks: showLocks, findings: showFindings };
const tabs = [...document.querySelectorAll('[role="tab"]')];
let active = 'requests';

function choose(tab, focus) {
  active = tab.id.slice(4);
  for (const each of tabs) {
    const isChosen = each === tab;
    each.setAttribute('aria-selected', String(isChosen));
    each.tabIndex = isChosen ? 0 : -1;
    byId('panel-' + each.id.slice(4)).hidden = !isChosen;
  }
  // At once: the next key may go to what is on it.
  drawNow();
  if (focus) tab.focus();
}
for (const tab of tabs) {
  tab.addEventListener('click', () => choose(tab, false));
  tab.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = event.key === 'Home' ? 0 : event.key === 'End' ? tabs.length - 1
      : step === undefined ? undefined : (tabs.indexOf(tab) + step + tabs.length) % tabs.length;
    if (at === undefined) return;
    event.preventDefault();
    choose(tabs[at], true);
  });
}

function count(name, value, isAlert) {
  const place = byId('tab-' + name).querySelector('.count');
  place.textContent = value === 0 ? '' : String(value);
  place.classList.toggle('alert', isAlert && value > 0);
}
function gauges() {
  return [...state.pools.values()].map((pool) =>
    h('span', {}, state.pools.size > 1 ? pool.engine + ': ' : '', h('b', {}, pool.onLoan + ' / ' + pool.max), ' on loan',
      pool.waiting > 0 ? h('b', { class: 'undone' }, ' · ' + pool.waiting + ' waiting') : ''));
}

let isDue = false;
function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    drawNow();
  });
}
function drawNow() {
  count('requests', state.units.size, false);
  count('statements', state.statements.size, false);
  count('locks', state.locks.length, true);
  count('findings', state.findings.size, true);
  byId('gauges').replaceChildren(...gauges());
  views[active](byId('panel-' + active));
}

let limits;
function take(update) {
  for (const name of ['units', 'statements', 'findings']) {
    for (const item of update[name] || []) state[name].set(item.id, item);
    for (const id of [...state[name].keys()].sort((a, b) => a - b)) {
      if (state[name].size <= limits[name]) break;
      state[name].delete(id);
    }
  }
  for (const pool of update.pools || []) state.pools.set(pool.engine, pool);
  if (update.locks) state.locks = update.locks;
  draw();
}

const base = location.pathname.replace(/\/$/, '');
const source = new EventSource(base + '/events');
const live = byId('live');
source.onopen = () => { live.dataset.state = 'live'; live.textContent = 'live'; };
source.onerror = () => { live.dataset.state = 'lost'; live.textContent = 'The application does not answer. This page tries again by itself.'; };
source.addEventListener('start', (event) => {
  limits = JSON.parse(event.data);
  for (const name of ['units', 'statements', 'findings']) state[name].clear();
});
source.onmessage = (event) => take(JSON.parse(event.data));
choose(tabs.find((tab) => tab.id === 'tab-' + location.hash.slice(1)) || tabs[0], false);
`;

export const PAGE_SCRIPT = [BASE_SCRIPT, REQUESTS_SCRIPT, TABLES_SCRIPT, POOL_SCRIPT, START_SCRIPT].join(
  '\n',
);
