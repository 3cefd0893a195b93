import { describe, expect, it } from 'vitest';
import { MessageReader, type MessageTarget } from '../../../../lib/engine/driver/pg/wire/message-reader.js';
import { RowLayout } from '../../../../lib/engine/driver/pg/wire/row-builder.js';
import { resolveTypes } from '../../../../lib/engine/driver/types/types.js';
import { serverMessages as server } from '../../../support/server/server-messages.js';

const layout = new RowLayout(
  [
    { name: 'id', typeOid: 23 },
    { name: 'name', typeOid: 25 },
    { name: 'at', typeOid: 1184 },
    { name: 'ok', typeOid: 16 },
  ],
  resolveTypes(),
);
const instant = '2024-02-29 23:59:59.123456+05:30';
const rows = [
  { id: -12, name: 'ä€😀', at: new Date('2024-02-29T18:29:59.123Z'), ok: true },
  { id: 7, name: '', at: null, ok: null },
  { id: 2_147_483_647, name: null, at: null, ok: false },
];
const reply = Buffer.concat([
  server.parseComplete(),
  server.bindComplete(),
  server.dataRow(['-12', 'ä€😀', instant, 't']),
  server.notice('look here'),
  server.dataRow(['7', '', null, null]),
  server.parameterStatus('TimeZone', 'UTC'),
  server.dataRow(['2147483647', null, null, 'f']),
  server.commandComplete('SELECT 3'),
  server.portalSuspended(),
  server.readyForQuery('T'),
  server.notice('behind it'),
]);

interface Heard {
  readonly rows: unknown[];
  readonly events: string[];
}

function listen(): { reader: MessageReader; heard: Heard } {
  const heard: Heard = { rows: [], events: [] };
  const reader = new MessageReader({
    pass: (message) => heard.events.push(`pass ${String.fromCharCode(message[0] ?? 0)} ${message.length}`),
    ready: (status) => heard.events.push(`ready ${String.fromCharCode(status)}`),
    refuse: (error) => heard.events.push(error.name),
  });
  const target: MessageTarget = {
    handleDataRow: (bytes, start, end) => heard.rows.push(layout.build(bytes, start, end)),
    handleTag: (bytes, start, end) => heard.events.push(bytes.toString('latin1', start, end)),
    handleParseComplete: () => heard.events.push('parsed'),
    handlePortalSuspended: () => heard.events.push('suspended'),
  };
  reader.target = target;
  return { reader, heard };
}

const expected: Heard = {
  rows,
  events: [
    'parsed',
    `pass N ${server.notice('look here').length}`,
    `pass S ${server.parameterStatus('TimeZone', 'UTC').length}`,
    'SELECT 3',
    'suspended',
    'ready T',
    `pass N ${server.notice('behind it').length}`,
  ],
};

describe('an answer is read', () => {
  it('whole', () => {
    const { reader, heard } = listen();
    reader.read(reply);
    expect(heard).toEqual(expected);
  });

  it('byte by byte', () => {
    const { reader, heard } = listen();
    for (let at = 0; at < reply.length; at += 1) reader.read(reply.subarray(at, at + 1));
    expect(heard).toEqual(expected);
  });

  it('in two pieces, cut at every place', () => {
    for (let cut = 0; cut <= reply.length; cut += 1) {
      const { reader, heard } = listen();
      reader.read(reply.subarray(0, cut));
      reader.read(reply.subarray(cut));
      expect(heard, `cut at ${cut}`).toEqual(expected);
    }
  });

  it('in three pieces, the middle one of every length', () => {
    for (let length = 0; length < reply.length - 20; length += 1) {
      const { reader, heard } = listen();
      reader.read(reply.subarray(0, 20));
      reader.read(reply.subarray(20, 20 + length));
      reader.read(reply.subarray(20 + length));
      expect(heard, `a piece of ${length}`).toEqual(expected);
    }
  });

  it('with a row much larger than a piece', () => {
    const { reader, heard } = listen();
    const name = 'ä'.repeat(300_000);
    const large = server.dataRow(['1', name, null, null]);
    for (let at = 0; at < large.length; at += 65_536) reader.read(large.subarray(at, at + 65_536));
    expect(heard.rows).toEqual([{ id: 1, name, at: null, ok: null }]);
  });
});

describe('what is no message', () => {
  const garbage = Buffer.from([0x44, 0, 0, 0, 1, 9, 9, 9]);

  it('is refused once, and nothing behind it is read', () => {
    const { reader, heard } = listen();
    reader.read(Buffer.concat([server.commandComplete('SELECT 0'), garbage, server.readyForQuery('I')]));
    reader.read(server.readyForQuery('I'));
    expect(heard.events).toEqual(['SELECT 0', 'InterfaceError']);
  });

  it('is refused when it comes in pieces', () => {
    const { reader, heard } = listen();
    for (const byte of garbage) reader.read(Buffer.from([byte]));
    expect(heard.events).toEqual(['InterfaceError']);
  });

  it('takes no memory for a length that never comes', () => {
    const { reader, heard } = listen();
    const before = process.memoryUsage().arrayBuffers;
    reader.read(Buffer.from('HTTP/1.1 400 Bad Request'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
    expect(heard.events).toEqual([]);
  });
});
