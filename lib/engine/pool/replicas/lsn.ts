/** A place in the write-ahead log, as PostgreSQL writes it: `0/3000060`. */
const LSN = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

/** The number that an LSN stands for; undefined where the text is none. */
export function lsnNumber(text: unknown): bigint | undefined {
  const [, high, low] = (typeof text === 'string' && LSN.exec(text)) || [];
  return high === undefined ? undefined : (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** The LSN of a number. */
export function lsnText(lsn: bigint): string {
  return [lsn >> 32n, lsn & 0xffff_ffffn].map((half) => half.toString(16).toUpperCase()).join('/');
}

/** How far the header of a block of the log reaches, at most: 24 bytes, or 40 in a segment's first block. */
const HEADER = 40n;

/**
 * Where the last record in front of `lsn` ends, when `lsn` says where the next one begins. At the start of a
 * block the two differ by the block's header, which no standby applies before a record comes behind it: after
 * `pg_switch_wal()` an idle standby would never be where its primary is. No record is short enough to begin
 * behind a header and end in these bytes. A `blockSize` of 0 is one that is not known.
 */
export function endInFrontOf(lsn: bigint, blockSize: bigint): bigint {
  if (blockSize === 0n) return lsn;
  const offset = lsn % blockSize;
  return offset <= HEADER ? lsn - offset : lsn;
}
