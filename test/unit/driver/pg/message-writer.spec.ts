import { expect, it } from 'vitest';
import { MessageWriter, type Slab } from '../../../../lib/engine/driver/pg/wire/message-writer.js';
import { randomOf } from '../../../support/random.js';

/** What a writer takes at once. */
const SLAB = 16_384;

it('sessions that write one after the other have the same memory', () => {
  const slabs: Slab[] = [];
  const [one, other] = [new MessageWriter(slabs), new MessageWriter(slabs)];
  one.query('SELECT 1');
  const first = one.take();
  other.query('SELECT 2');
  expect(other.take().buffer).toBe(first.buffer);
});

it('a batch that outgrows what is left of it goes on in other memory, from its beginning', () => {
  const slabs: Slab[] = [];
  const writer = new MessageWriter(slabs);
  writer.query('x'.repeat(SLAB - 2_000));
  const before = writer.take();
  const copy = Buffer.from(before);
  for (let count = 0; count < 50; count += 1) writer.parse('', 'y'.repeat(60));
  writer.sync();
  const bytes = writer.take();
  expect(bytes.buffer).not.toBe(before.buffer);
  expect(before).toEqual(copy);
  const alone = new MessageWriter();
  for (let count = 0; count < 50; count += 1) alone.parse('', 'y'.repeat(60));
  alone.sync();
  expect(bytes).toEqual(alone.take());
});

it('sessions that write at the same time never write into what another has written or sent', () => {
  const slabs: Slab[] = [];
  const random = randomOf(20_261_129);
  const pairs = Array.from({ length: 12 }, () => [new MessageWriter(slabs), new MessageWriter()] as const);
  const sent: (readonly [Buffer, Buffer])[] = [];
  for (let step = 0; step < 5_000; step += 1) {
    const pair = pairs[random(pairs.length)];
    const chance = random(100);
    const text = 'z'.repeat(random(20) === 0 ? random(40_000) : random(400));
    for (const writer of pair ?? []) {
      if (chance < 50) writer.parse('name', text);
      else if (chance < 70) writer.sync();
      else if (chance < 75) writer.rewind();
    }
    if (pair !== undefined && chance >= 75) sent.push([pair[0].take(), pair[1].take()]);
  }
  expect(sent.filter(([bytes, wanted]) => !bytes.equals(wanted))).toEqual([]);
  expect(sent.length).toBeGreaterThan(1_000);
});
