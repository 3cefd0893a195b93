/** WASI's numbers of what goes wrong with files. */
const FILE_ERRORS: Readonly<Record<number, string>> = {
  2: 'permission denied',
  20: 'a file of that name exists',
  31: 'it is a folder',
  44: 'there is no such file or folder',
  51: 'no space is left',
  54: 'it is not a folder',
  63: 'the operation is not permitted',
  69: 'the file system is read-only',
};

/** What `cause` says, in words: the file system of the WASM server throws objects with a number alone. */
export function reasonOf(cause: unknown): string {
  if (cause instanceof Error && cause.message !== '') return cause.message;
  if (typeof cause !== 'object' || cause === null) return String(cause);
  const { message, errno, name } = cause as { message?: unknown; errno?: unknown; name?: unknown };
  if (typeof message === 'string' && message !== '') return message;
  if (typeof errno === 'number') return FILE_ERRORS[errno] ?? `error ${errno} of its file system`;
  return typeof name === 'string' ? name : 'an error without words';
}
