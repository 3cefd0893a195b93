/** `sql` with what sqlcommenter adds: keys in order, values as in a URL. An own comment stays as it is. */
export function withComment(sql: string, values: Readonly<Record<string, string | undefined>>): string {
  if (sql.includes('/*')) return sql;
  const pairs = Object.entries(values)
    .filter((pair): pair is [string, string] => pair[1] !== undefined)
    .map(([key, value]) => `${key}='${encode(value)}'`);
  if (pairs.length === 0) return sql;
  return `${sql.trimEnd().replace(/;$/, '')} /*${pairs.toSorted().join(',')}*/`;
}

// A quote and a star would end the value, or the comment.
function encode(value: string): string {
  return encodeURIComponent(value).replace(
    /['*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
