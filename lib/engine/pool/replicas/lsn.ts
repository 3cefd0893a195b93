/** A place in the write-ahead log, as PostgreSQL writes it: `0/3000060`. */
const LSN = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

/** True: the text is an LSN. */
export function isLsn(text: string): boolean {
  return LSN.test(text);
}

/** The number that an LSN stands for; undefined where the text is none. */
export function lsnNumber(text: unknown): bigint | undefined {
  const [, high, low] = (typeof text === 'string' && LSN.exec(text)) || [];
  return high === undefined ? undefined : (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}
