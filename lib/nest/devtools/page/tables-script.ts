/** The statements by text, with EXPLAIN, and the findings. */
export const TABLES_SCRIPT = String.raw`
const COLUMNS = [
  ['calls', 'Calls', (row) => row.calls], ['total', 'Total', (row) => ms(row.total)], ['mean', 'Mean', (row) => ms(row.mean)],
  ['p95', 'p95', (row) => ms(row.p95)], ['rows', 'Rows', (row) => row.rows], ['errors', 'Errors', (row) => row.errors],
];
let order = 'total';

function showStatements(panel) {
  if (panel.body === undefined) {
    panel.body = h('tbody', {});
    panel.heads = COLUMNS.map(([name, title]) => h('th', { class: 'n', scope: 'col' },
      h('button', { type: 'button', onclick: () => { order = name; draw(); } }, title)));
    panel.none = empty('No statement was sent yet.');
    panel.table = h('div', { class: 'card table statements', tabindex: 0, role: 'region', 'aria-label': 'Statements by text' },
      h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Statement'), panel.heads, h('th', { scope: 'col' }, 'Plan'))), panel.body));
    panel.append(panel.none, panel.table);
  }
  const rows = [...state.statements.values()].sort((a, b) => b[order] - a[order]);
  panel.heads.forEach((head, index) => head.setAttribute('aria-sort', COLUMNS[index][0] === order ? 'descending' : 'none'));
  panel.none.hidden = rows.length > 0;
  panel.table.hidden = rows.length === 0;
  keyed(panel.body, rows, (row) => row.id, statementRow);
}

const plans = new Map();
function statementRow(row) {
  // It moves to the next node of this row: new figures may come before the answer.
  const plan = plans.get(row.id) || h('div', {});
  const explain = async (analyze) => {
    plans.set(row.id, plan);
    plan.replaceChildren(h('p', {}, 'asking the server …'));
    plan.replaceChildren(await planOf(row.id, analyze));
  };
  return h('tr', {},
    h('td', { class: 'text' }, h('span', { class: 'sql' }, short(oneLine(row.sql), 400)),
      row.sites.map((site) => h('div', { class: 'site' }, site)), plan),
    COLUMNS.map(([, title, show]) => h('td', { class: 'n', 'data-name': title }, String(show(row)))),
    h('td', { class: 'n' }, h('button', { class: 'action', type: 'button', onclick: () => explain(false) }, 'Explain')));
}

async function planOf(id, analyze) {
  try {
    const response = await fetch(base + '/explain', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ statement: id, analyze }),
    });
    const answer = await response.json();
    return response.ok ? h('pre', { tabindex: 0 }, answer.plan) : h('p', { class: 'undone' }, answer.message);
  } catch {
    return h('p', { class: 'undone' }, 'The application does not answer.');
  }
}

function showFindings(panel) {
  if (panel.list === undefined) {
    panel.list = h('ul', { class: 'list card' });
    panel.none = empty('Nothing to complain about.');
    panel.append(panel.none, panel.list);
  }
  // The request that it is about may come after it.
  const findings = [...state.findings.values()].sort((a, b) => b.at - a.at)
    .map((finding) => ({ ...finding, isShown: state.units.has(finding.unit) }));
  panel.none.hidden = findings.length > 0;
  panel.list.hidden = findings.length === 0;
  keyed(panel.list, findings, (finding) => finding.id, (finding) => h('li', { class: 'finding' },
    h('strong', {}, finding.title), finding.count > 1 ? h('span', { class: 'badge' }, '× ' + finding.count) : '',
    finding.site ? h('div', { class: 'sql' }, finding.site) : '',
    h('p', {}, finding.advice),
    finding.isShown
      ? h('button', { type: 'button', class: 'action', onclick: () => { state.selected = finding.unit; choose(byId('tab-requests'), true); } }, 'Show the request')
      : ''));
}
`;
