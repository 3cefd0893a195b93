import { inspect } from './node-modules.js';

const VALUE_LIMIT = 300;
const VALUES_LIMIT = 100;
const SETS_LIMIT = 10;
const SETS_AT_END = 2;

/** Stands where values would, when `hideParameters` is set. */
export const HIDDEN_PARAMETERS = '[hidden by hideParameters]';

/** A value as a log line shows it, cut in the middle when its text is longer than 300 characters. */
export function valueText(value: unknown): string {
  const text = renderValue(value);
  if (text.length <= VALUE_LIMIT) return text;
  const half = VALUE_LIMIT / 2;
  const left = text.length - VALUE_LIMIT;
  return `${text.slice(0, half)} … (${left} characters left out) … ${text.slice(-half)}`;
}

/** One set of values: a list by position, or an object by name. More than 100 are cut in the middle. */
export function parametersText(parameters: unknown): string {
  if (Array.isArray(parameters)) return `[${listed(parameters.map((value) => () => valueText(value)))}]`;
  if (!isRecord(parameters)) return valueText(parameters);
  const entries = Object.entries(parameters);
  return `{${listed(
    entries.map(
      ([name, value]) =>
        () =>
          `${name}: ${valueText(value)}`,
    ),
  )}}`;
}

/** The sets of an executemany; of more than ten, the first eight and the last two. */
export function parameterSetsText(sets: readonly unknown[]): string {
  if (sets.length <= SETS_LIMIT) return `[${sets.map(parametersText).join(', ')}]`;
  const first = sets.slice(0, SETS_LIMIT - SETS_AT_END).map(parametersText);
  const last = sets.slice(-SETS_AT_END).map(parametersText);
  return `[${first.join(', ')}, … ${SETS_LIMIT} of ${sets.length} sets shown …, ${last.join(', ')}]`;
}

function listed(items: readonly (() => string)[]): string {
  if (items.length <= VALUES_LIMIT) return items.map((render) => render()).join(', ');
  const half = VALUES_LIMIT / 2;
  const first = items.slice(0, half).map((render) => render());
  const last = items.slice(-half).map((render) => render());
  return `${first.join(', ')}, … ${items.length - VALUES_LIMIT} values left out …, ${last.join(', ')}`;
}

function renderValue(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? 'Invalid Date' : `'${value.toISOString()}'`;
  if (value instanceof Uint8Array) return `<${value.byteLength} bytes>`;
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    return inspect(value, { depth: 4, breakLength: Infinity, compact: true });
  } catch {
    // A getter or an inspection of the user's own that throws must not stop the statement.
    return '<object>';
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** How much of a long statement a message shows. */
const LONGEST_STATEMENT = 4_000;
const SHOWN_STATEMENT = 1_000;

/** A statement as a message shows it: of a long one, what is around `position`, or its start. */
function statementText(statement: string, position = 1): string {
  if (statement.length <= LONGEST_STATEMENT) return statement;
  const start = Math.max(0, Math.min(position - 1, statement.length) - SHOWN_STATEMENT / 2);
  const end = Math.min(statement.length, start + SHOWN_STATEMENT);
  const before = start === 0 ? '' : `(${start} characters left out) … `;
  const after = end === statement.length ? '' : ` … (${statement.length - end} characters left out)`;
  return `${before}${statement.slice(start, end)}${after}`;
}

/** A message with the SQL that it is about, and a mark where that went wrong. */
export function withStatement(message: string, statement: string | undefined, position?: number): string {
  return statement === undefined ? message : `${message}\n[SQL: ${statementText(statement, position)}]`;
}

/** True: there is nothing to show. */
export function isWithoutValues(parameters: unknown): boolean {
  return typeof parameters !== 'object' || parameters === null || Object.keys(parameters).length === 0;
}
