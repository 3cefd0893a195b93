import { withoutComments } from '../engine/statement/skip-literal.js';
import { splitScript } from '../engine/statement/split-script.js';
import { transactionCommandOf } from '../engine/statement/transaction-command.js';
import type { IsolationLevel, TransactionOptions } from '../engine/index.js';
import type { ControlStatement } from './client-session.js';

const LEVEL = /\bISOLATION\s+LEVEL\s+(SERIALIZABLE|REPEATABLE\s+READ|READ\s+(?:UN)?COMMITTED)\b/i;
const NAME =
  /^\s*(?:SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?|.*?\bTO(?:\s+SAVEPOINT)?)\s+("(?:[^"]|"")+"|[^\s;]+)/i;

/** A part of a script: one statement of control, or text that has none. */
type ScriptPart = ControlStatement | { readonly command: undefined; readonly text: string };

/** The parts of a text; undefined where nothing in it is transaction control. */
export function controlIn(text: string): readonly ScriptPart[] | undefined {
  const statements = splitScript(text).map(({ start, end, words }) => ({
    start,
    end,
    command: transactionCommandOf(words),
  }));
  if (statements.every(({ command }) => command === undefined)) return undefined;
  const parts: ScriptPart[] = [];
  let first: number | undefined;
  for (const [index, { start, end, command }] of statements.entries()) {
    first ??= start;
    const isLast = command !== undefined || statements[index + 1]?.command !== undefined;
    if (!isLast && index + 1 < statements.length) continue;
    parts.push({ command, text: text.slice(first, end) });
    first = undefined;
  }
  return parts;
}

/** The savepoint that a statement names, as the server keeps it. */
export function nameIn(text: string): string {
  const name = NAME.exec(withoutComments(text))?.[1] ?? '';
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();
}

/** What BEGIN says of its transaction. */
export function modesIn(text: string): TransactionOptions {
  const words = withoutComments(text);
  const level = LEVEL.exec(words)?.[1]?.replaceAll(/\s+/g, ' ').toUpperCase();
  const access = /\bREAD\s+(ONLY|WRITE)\b/i.exec(words)?.[1]?.toUpperCase();
  const deferrable = /\b(NOT\s+)?DEFERRABLE\b/i.exec(words);
  return {
    ...(level === undefined ? {} : { isolationLevel: level as IsolationLevel }),
    ...(access === undefined ? {} : { readOnly: access === 'ONLY' }),
    ...(deferrable === null ? {} : { deferrable: deferrable[1] === undefined }),
  };
}
