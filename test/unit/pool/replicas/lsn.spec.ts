import { expect, it } from 'vitest';
import { endInFrontOf, lsnNumber, lsnText } from '../../../../lib/engine/pool/replicas/lsn.js';

it.each(['0/0', '0/3000028', '1/FFFFFFFF', 'ABCDEF/10'])('%s is the number that it was read as', (text) => {
  expect(lsnText(lsnNumber(text) ?? -1n)).toBe(text);
});

it.each([
  ['the first block of a segment', '0/3000028', 8192n, '0/3000000'],
  ['any other block', '0/3002018', 8192n, '0/3002000'],
  ['the start of a block', '0/3002000', 8192n, '0/3002000'],
  ['a block, behind its first record', '0/3002030', 8192n, '0/3002030'],
  ['a block of a size that is not known', '0/3000028', 0n, '0/3000028'],
])('a record that comes next in %s', (_, next, blockSize, end) => {
  expect(lsnText(endInFrontOf(lsnNumber(next) ?? -1n, blockSize))).toBe(end);
});
