const WRITES = /^(?:INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE|CREATE|ALTER|DROP)\b/;

/** True for the answer to a statement that changed rows or the schema, as far as its command tag tells. */
export function isWrite(answer: unknown): boolean {
  const { command, rowCount } = (answer ?? {}) as { command?: string; rowCount?: number };
  return command !== undefined && command !== 'SELECT' && rowCount !== 0 && WRITES.test(command);
}
