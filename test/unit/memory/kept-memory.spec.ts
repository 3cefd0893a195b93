import { describe, expect, it } from 'vitest';
import { MessageWriter } from '../../../lib/engine/driver/pg/wire/message-writer.js';
import { RowLayout } from '../../../lib/engine/driver/pg/wire/row-builder.js';
import { resolveTypes } from '../../../lib/engine/driver/types/types.js';
import { collectGarbage } from '../../support/process/garbage.js';
import { serverMessages as server } from '../../support/server/server-messages.js';

const ROWS = 20_000;
const HEADER = 5;
const MEBIBYTE = 2 ** 20;

async function heapInUse(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage().heapUsed;
}

async function buffersInUse(): Promise<number> {
  await collectGarbage();
  // The memory behind a Buffer is counted until the collection after the one that found the Buffer unused.
  await collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

describe('who keeps one value of a row keeps that value and not the row', () => {
  it.each([
    ['uuid', 2950, '0123456789abcdef0123456789abcdef0123'],
    ['text', 25, 'a text that is longer than thirteen'],
    ['numeric', 1700, '12345678901234567890.25'],
  ])('%s', async (_name, typeOid, value) => {
    const fields = [
      { name: 'kept', typeOid },
      { name: 'rest', typeOid: 25 },
    ];
    const layout = new RowLayout(fields, resolveTypes());
    const message = server.dataRow([value, 'x'.repeat(900)]);
    const before = await heapInUse();
    const kept = Array.from({ length: ROWS }, () => {
      const row = layout.build(message, HEADER, message.length) as { readonly kept: unknown };
      return row.kept;
    });
    expect((await heapInUse()) - before).toBeLessThan(6 * MEBIBYTE);
    expect(kept).toHaveLength(ROWS);
  });
});

describe('the writer of a session', () => {
  it('keeps nothing of the memory that one large batch needed', async () => {
    const writer = new MessageWriter();
    const before = await buffersInUse();
    writer.bind('', '', ['x'.repeat(32 * MEBIBYTE)]);
    expect(writer.take().length).toBeGreaterThan(32 * MEBIBYTE);
    writer.sync();
    expect(writer.take()).toHaveLength(5);
    expect((await buffersInUse()) - before).toBeLessThan(MEBIBYTE);
  });

  it('never writes again into what was taken', () => {
    const writer = new MessageWriter();
    const texts = Array.from({ length: 2_000 }, (_, index) => `SELECT ${index}`);
    const taken = texts.map((text) => {
      writer.query(text);
      return writer.take();
    });
    expect(taken.map((bytes) => bytes.toString('latin1', HEADER, bytes.length - 1))).toEqual(texts);
  });
});
