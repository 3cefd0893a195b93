/** The list of units and the timeline of one. */
export const REQUESTS_SCRIPT = String.raw`
const OUTCOMES = { committed: 'kept', 'rolled back': 'undone', failed: 'undone', running: 'warn', autocommit: '' };

function showRequests(panel) {
  if (panel.list === undefined) {
    panel.list = h('ul', { class: 'list scroll', 'aria-label': 'Requests and jobs, newest first', tabindex: 0 });
    panel.detail = h('section', { class: 'card', 'aria-label': 'Timeline', 'aria-live': 'off' });
    panel.none = empty('Nothing has used the database yet. Send a request to the application: it appears here by itself.');
    panel.split = h('div', { class: 'split' }, h('section', { class: 'card' }, panel.list), panel.detail);
    panel.append(panel.none, panel.split);
  }
  const units = [...state.units.values()].sort((a, b) => b.id - a.id);
  panel.none.hidden = units.length > 0;
  panel.split.hidden = units.length === 0;
  if (!state.units.has(state.selected) && units.length > 0) state.selected = units[0].id;
  keyed(panel.list, units.map((unit) => ({ unit, isCurrent: unit.id === state.selected })), ({ unit }) => unit.id, unitRow);
  const unit = state.units.get(state.selected);
  const text = JSON.stringify(unit);
  if (unit === undefined || panel.detail.text === text) return;
  panel.detail.text = text;
  panel.detail.replaceChildren(...timeline(unit));
}

function unitRow({ unit, isCurrent }) {
  const repeats = repeatedIn(unit);
  return h('li', {}, h('button', {
    class: 'unit', type: 'button', 'data-outcome': unit.outcome, 'aria-current': isCurrent ? 'true' : undefined,
    onclick: () => { state.selected = unit.id; draw(); },
  },
    h('span', { class: 'name' }, unit.label), h('span', { class: 'time' }, ms(unit.duration)),
    h('span', { class: 'facts' }, many(unit.statements, 'statement') + ', ' + many(unit.roundTrips, 'round trip') + ' · ',
      h('span', { class: OUTCOMES[unit.outcome] }, unit.outcome),
      repeats > 0 ? h('span', { class: 'warn whole' }, ' · N + 1: ×' + repeats) : '')));
}

const textKey = (step) => step.parent + ' ' + step.site + ' ' + step.text;
function repeatedIn(unit) {
  const counts = new Map();
  for (const step of unit.steps) if (step.kind === 'statement') counts.set(textKey(step), (counts.get(textKey(step)) || 0) + 1);
  const most = Math.max(0, ...counts.values());
  return most >= limits.repeated ? most : 0;
}

function timeline(unit) {
  const end = Math.max(unit.duration || 0, ...unit.steps.map((step) => step.start + (step.duration || 0)), 0.001);
  const when = new Date(unit.startedAt).toLocaleTimeString();
  return [
    h('h2', {}, unit.label),
    h('p', {}, when + ' · ' + ms(unit.duration) + ' · ' + many(unit.statements, 'statement') + ' in ' +
      many(unit.roundTrips, 'round trip') + ' · ', h('strong', { class: OUTCOMES[unit.outcome] }, unit.outcome)),
    unit.steps.length === 0 ? empty('It has sent nothing.') : h('ol', { class: 'steps' }, branch(unit, undefined, 0, end)),
    unit.omitted > 0 ? h('p', {}, many(unit.omitted, 'more step') + ' not kept.') : '',
  ];
}

function branch(unit, parent, depth, end) {
  const children = unit.steps.filter((step) => step.parent === parent);
  const groups = [];
  for (const step of children) {
    const last = groups[groups.length - 1];
    if (step.kind === 'statement' && last !== undefined && last[0].kind === 'statement' && textKey(last[0]) === textKey(step)) last.push(step);
    else groups.push([step]);
  }
  return groups.flatMap((group) => {
    if (group.length >= 3) return [folded(group, depth, end)];
    return group.flatMap((step) => [h('li', {}, bar(step, depth, end)), ...branch(unit, step.id, depth + 1, end)]);
  });
}

function folded(group, depth, end) {
  const first = group[0];
  const last = group[group.length - 1];
  const whole = {
    ...first, duration: last.start + (last.duration || 0) - first.start,
    rows: undefined, values: undefined, error: group.map((step) => step.error).find(Boolean),
  };
  const mark = h('span', { class: 'badge warn' }, '× ' + group.length + (group.length >= limits.repeated ? ' · N + 1' : ''));
  return h('li', {}, h('details', {}, h('summary', {}, bar(whole, depth, end, mark)),
    h('ol', { class: 'steps' }, group.map((step) => h('li', {}, bar(step, depth + 1, end))))));
}

const NAMES = { transaction: 'BEGIN', savepoint: 'SAVEPOINT', wait: 'waits for a connection' };
const ENDS = {
  transaction: { kept: 'COMMIT', undone: 'ROLLBACK', open: 'open' },
  savepoint: { kept: 'RELEASE', undone: 'ROLLBACK TO SAVEPOINT', open: 'open' },
};

function bar(step, depth, end, mark) {
  const left = Math.min(99, (step.start / end) * 100);
  const width = Math.max(0, Math.min(100 - left, ((step.duration === undefined ? end - step.start : step.duration) / end) * 100));
  const ends = ENDS[step.kind];
  const what = step.kind === 'statement'
    ? h('span', { class: 'sql', title: short(step.text, 2000) }, short(oneLine(step.text), 300))
    : h('strong', {}, NAMES[step.kind], ends ? ' … ' : '', ends ? h('span', { class: step.fate }, ends[step.fate]) : '');
  const site = [step.kind === 'statement' ? step.site : step.text, step.values, step.rows === undefined ? undefined : many(step.rows, 'row')]
    .filter(Boolean).join(' · ');
  return h('div', { class: 'step', 'data-fate': step.fate },
    h('div', { class: 'what', style: '--depth:' + Math.min(depth, 8) }, mark ? mark : '', what,
      step.fate === 'undone' && step.kind === 'statement' ? h('span', { class: 'badge undone' }, 'undone') : '',
      step.error ? h('span', { class: 'error' }, step.error) : '',
      site === '' ? '' : h('span', { class: 'site' }, site)),
    h('div', { class: 'track' },
      h('i', { 'data-fate': step.fate, 'data-kind': step.kind, style: 'left:' + left.toFixed(2) + '%;width:' + width.toFixed(2) + '%' })),
    h('div', { class: 'time' }, ms(step.duration)));
}
`;
