/**
 * Above it, the length of a text in bytes is asked for instead of being assumed to be the longest possible.
 */
const LONG_TEXT = 1_024;
/** Up to it, copying characters one by one is quicker than a call out of JavaScript. */
const SHORT_TEXT = 32;

/** Bytes that are enough for `text`. */
export function roomOf(text: string): number {
  return text.length > LONG_TEXT ? Buffer.byteLength(text) : 3 * text.length;
}

/** Writes `text` where there is room for it, and gives where it ends. */
export function putText(bytes: Buffer, start: number, text: string): number {
  const { length } = text;
  if (length > SHORT_TEXT) return start + bytes.write(text, start, 'utf8');
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return start + bytes.write(text, start, 'utf8');
    bytes[start + index] = code;
  }
  return start + length;
}
