import { expect, it } from 'vitest';
import { InterfaceError } from '../../../../lib/engine/errors/errors.js';
import { CsvWriter } from '../../../../lib/engine/driver/pg/wire/csv-writer.js';
import { RowLayout } from '../../../../lib/engine/driver/pg/wire/row-builder.js';
import { resolveTypes } from '../../../../lib/engine/driver/types/types.js';

const layout = new RowLayout(
  [
    { name: 'id', typeOid: 23 },
    { name: 'name', typeOid: 25 },
  ],
  resolveTypes(),
);

/** A DataRow of two fields, `7` and `a"b`. */
const ROW = Buffer.from('0002000000013700000003612262', 'hex');

function written(row: Buffer, field: (value: unknown) => string = String): string | undefined {
  const writer = new CsvWriter(field);
  expect(writer.isFor(layout)).toBe(true);
  writer.write(row, 0, row.length);
  return writer.take()?.text.toString();
}

it('a row is a line, with quotes where CSV asks for them', () => {
  expect(written(ROW)).toBe('7,"a""b"\r\n');
});

const changed = (change: (row: Buffer) => void): Buffer => {
  const row = Buffer.from(ROW);
  change(row);
  return row;
};

it.each([
  ['too few fields', changed((row) => row.writeUInt16BE(1, 0))],
  ['too many fields', changed((row) => row.writeUInt16BE(3, 0))],
  ['a field that is longer than the message', changed((row) => row.writeInt32BE(4, 7))],
  ['a length below that of NULL', changed((row) => row.writeInt32BE(-2, 2))],
  ['bytes behind the last field', Buffer.concat([ROW, Buffer.from('x')])],
  ['an end inside a length', ROW.subarray(0, 9)],
  ['nothing', Buffer.alloc(0)],
])('a row with %s is refused', (_, row) => {
  expect(() => written(row)).toThrow(InterfaceError);
});

it('a value may become any number of bytes', () => {
  const dated = new RowLayout([{ name: 'at', typeOid: 1184 }], resolveTypes());
  const writer = new CsvWriter(() => '€'.repeat(100_000));
  const row = Buffer.concat([Buffer.from('000100000016', 'hex'), Buffer.from('2024-01-01 12:00:00+00')]);
  for (let count = 0; count < 3; count += 1) {
    expect(writer.isFor(dated)).toBe(true);
    writer.write(row, 0, row.length);
  }
  expect(writer.take()).toEqual({ text: Buffer.from(`${'€'.repeat(100_000)}\r\n`.repeat(3)), count: 3 });
});

it('the lines of a fetch that is repeated are its own alone', () => {
  const writer = new CsvWriter(String);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    writer.begin();
    expect(writer.isFor(layout)).toBe(true);
    writer.write(ROW, 0, ROW.length);
  }
  expect(writer.take()?.count).toBe(1);
});

it('rows with a type that is not known yet are not written', () => {
  const unknown = new RowLayout([{ name: 'mood', typeOid: 20_000 }], resolveTypes());
  expect(new CsvWriter(String).isFor(unknown)).toBe(false);
});
