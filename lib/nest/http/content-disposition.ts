/** What RFC 5987 lets stand unescaped in an extended value. */
const PLAIN_BYTES = new Set(
  Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`|~'),
);

/** The header that makes a browser save a response under `filename`, as RFC 6266 writes it. */
export function attachmentDisposition(filename: string): string {
  const fallback = filename.replace(/[^\x20-\x7e]/gu, '_');
  const quoted = `attachment; filename="${fallback.replace(/["\\]/g, '\\$&')}"`;
  // Some browsers take a percent sign in the plain form for an escape.
  return fallback === filename && !filename.includes('%')
    ? quoted
    : `${quoted}; filename*=UTF-8''${extended(filename)}`;
}

function extended(filename: string): string {
  return Array.from(Buffer.from(filename), (byte) =>
    PLAIN_BYTES.has(byte)
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');
}
