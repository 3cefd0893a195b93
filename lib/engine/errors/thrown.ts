/**
 * What `thrown` says of itself. It never throws: anything can be thrown, such as an object without a text,
 * or an error whose message is a getter that fails.
 */
export function reasonOf(thrown: unknown): string {
  return shown(() => (thrown instanceof Error ? thrown.message : thrown));
}

/** The same with the name of the error in front. */
export function nameAndReasonOf(thrown: unknown): string {
  return shown(() => thrown);
}

/** The same with its stack, for a line of a log. */
export function stackOf(thrown: unknown): string {
  return shown(() => (thrown instanceof Error ? (thrown.stack ?? thrown.message) : thrown));
}

function shown(pick: () => unknown): string {
  try {
    return String(pick());
  } catch {
    return 'something that has no text';
  }
}
