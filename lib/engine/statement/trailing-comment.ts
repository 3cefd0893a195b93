import { skipLiteral } from './skip-literal.js';

/**
 * The text without the block comments behind its last word: what sqlcommenter adds is different with each
 * run, and the statement is the same.
 */
export function withoutTrailingComment(sql: string): string {
  // Nearly no text ends in one, and each statement is asked.
  if (!sql.endsWith('*/')) return sql;
  const opening = /['"$/-]/g;
  let end = 0;
  let at = 0;
  for (let match = opening.exec(sql); match !== null; match = opening.exec(sql)) {
    const { index } = match;
    const next = Math.max(skipLiteral(sql, index), index + 1);
    const isComment = sql.startsWith('/*', index) && isClosed(sql.slice(index, next));
    if (!isComment) end = next;
    else if (sql.slice(at, index).trim() !== '') end = index;
    at = next;
    opening.lastIndex = at;
  }
  return sql.slice(0, at < sql.length ? sql.length : end).trimEnd();
}

function isClosed(comment: string): boolean {
  const marks = comment.match(/\/\*|\*\//g) ?? [];
  return marks.filter((mark) => mark === '*/').length * 2 === marks.length;
}
