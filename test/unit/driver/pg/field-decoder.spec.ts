import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { RowLayout } from '../../../../lib/engine/driver/pg/wire/row-builder.js';
import { resolveTypes } from '../../../../lib/engine/driver/types/types.js';
import { serverMessages as server } from '../../../support/server/server-messages.js';

const HEADER = 5;

/** The values of one row, as our decoders and as pg's parsers make them of the same texts. */
function decoded(typeOid: number, texts: readonly string[]): { ours: unknown[]; theirs: unknown[] } {
  const layout = new RowLayout(
    texts.map((_, index) => ({ name: `c${index}`, typeOid })),
    resolveTypes(),
  );
  const row = server.dataRow(texts);
  const parse = pg.types.getTypeParser(typeOid, 'text') as (text: string) => unknown;
  return {
    ours: Object.values(layout.build(row, HEADER, row.length)),
    theirs: texts.map((text) => parse(text)),
  };
}

const every = (count: number, make: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => make(i));
const two = (value: number) => String(value).padStart(2, '0');

const cases: readonly (readonly [name: string, oid: number, texts: readonly string[]])[] = [
  ['int4', 23, ['0', '-1', '2147483647', '-2147483648', '999999999']],
  ['oid', 26, ['0', '4294967295']],
  ['bool', 16, ['t', 'f']],
  [
    'float8',
    701,
    ['0', '-0', '1', '-1.5', '0.1', '0.14285714285714285', '123456789012345', '12345678901234.5'],
  ],
  ['float8, of more digits than are exact', 701, every(300, (i) => String(Math.sqrt(i + 2)))],
  [
    'float8, odd',
    701,
    ['NaN', 'Infinity', '-Infinity', '1e+300', '1e-05', '9007199254740993', '1234567890123456'],
  ],
  ['float8, decimals', 701, every(2_000, (i) => String((i * 7_919) / 10 ** (i % 16)))],
  ['float4', 700, ['1.1', '3.4028235e+38', '1.17549435e-38']],
  [
    'timestamptz',
    1184,
    ['2024-02-29 12:34:56+00', '2024-02-29 12:34:56.7-03:30', '1969-12-31 23:59:59.999999+14'],
  ],
  [
    'timestamptz, odd',
    1184,
    ['infinity', '-infinity', '0044-03-15 10:00:00+00 BC', '10000-01-01 00:00:00+00'],
  ],
  [
    'timestamptz, old',
    1184,
    ['0001-01-01 00:00:00+00', '0099-12-31 00:00:00+00', '1883-11-18 12:00:00-04:56:02'],
  ],
  [
    'timestamptz, days',
    1184,
    every(1_500, (i) => `${1600 + ((i * 37) % 800)}-${two((i % 12) + 1)}-${two((i % 28) + 1)} 01:02:03+02`),
  ],
  [
    'timestamptz, milliseconds',
    1184,
    every(1_000, (i) => `2024-01-01 00:00:00.${String(i).padStart(3, '0')}+00`),
  ],
  [
    'timestamp',
    1114,
    ['2024-02-29 12:34:56', '2024-03-31 02:30:00.123456', '0044-03-15 10:00:00', 'infinity'],
  ],
];

describe('values are those of pg', () => {
  it.each(cases)('%s', (_, oid, texts) => {
    const { ours, theirs } = decoded(oid, texts);
    expect(ours).toEqual(theirs);
  });
});
