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
    handleCopyData: () => heard.events.push('copied'),
  };
  reader.skipLogin();
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
    expect(heard.events).toEqual(['InterfaceError']);
  });

  const { int16, int32, message, text } = server;
  const messages: readonly (readonly [what: string, bytes: Buffer])[] = [
    ['a row of 3 GB, before it has come', Buffer.from([0x44, 0xb2, 0xd0, 0x5e, 0x00])],
    ['an unknown type', message('Q')],
    ['a call of a function that was not made', message('V', int32(-1))],
    ['an error without its last zero', message('E', Buffer.from('SERROR'))],
    ['an error whose text goes on behind it', message('E', text('SERROR'), Buffer.from('M no end'))],
    ['a notice with more behind its end', message('N', text('SNOTICE'), Buffer.from([0, 0]))],
    ['an empty notice', message('N')],
    ['fewer columns than were counted', message('T', int16(2), text('a'), Buffer.alloc(18))],
    ['more columns than were counted', message('T', int16(0), text('a'), Buffer.alloc(18))],
    ['a column that is cut off', message('T', int16(1), text('a'), Buffer.alloc(17))],
    ['a description without a count', message('T', Buffer.from([0]))],
    ['fewer parameters than were counted', message('t', int16(3), int32(25))],
    ['a tag without its zero', message('C', Buffer.from('SELECT 1'))],
    ['a tag of two texts', message('C', text('SELECT 1'), text('x'))],
    ['no tag', message('C')],
    ['a parse that was completed with a text', message('1', text('x'))],
    ['a readiness that is none', message('Z', Buffer.from('X'))],
    ['a readiness of two bytes', message('Z', Buffer.from('II'))],
    ['a setting without a value', message('S', text('TimeZone'))],
    ['a notification without a payload', message('A', int32(1), text('channel'))],
    ['formats of columns that do not come', message('H', Buffer.from([0]), int16(4))],
    ['a request for a password after the login', server.authentication(3)],
    ['another key after the login', server.backendKeyData()],
  ];

  it.each(messages)('is %s, while a statement is due and while none is', (_, bytes) => {
    for (const isDue of [true, false]) {
      const { reader, heard } = listen();
      if (!isDue) reader.target = undefined;
      reader.read(Buffer.concat([bytes, server.readyForQuery('I')]));
      expect(heard).toEqual({ rows: [], events: ['InterfaceError'] });
    }
  });

  it('is a row that does not fill its message, where no statement is due', () => {
    const { reader, heard } = listen();
    reader.target = undefined;
    reader.read(message('D', int16(1), int32(120), Buffer.from('mine')));
    expect(heard.events).toEqual(['InterfaceError']);
  });

  it('is what a listener can not take: the session ends, and the process goes on', () => {
    const events: string[] = [];
    const reader = new MessageReader({
      pass: () => {
        throw new TypeError('undefined is not a function');
      },
      ready: () => events.push('ready'),
      refuse: (error) => events.push(error.message),
    });
    reader.skipLogin();
    reader.read(Buffer.concat([server.notice('hello'), server.notice('again')]));
    expect(events).toEqual(['a message of the server could not be read: undefined is not a function']);
  });
});

describe('before the login is over', () => {
  const fresh = (): { reader: MessageReader; events: string[] } => {
    const events: string[] = [];
    const reader = new MessageReader({
      pass: (message) => events.push(String.fromCharCode(message[0] ?? 0)),
      ready: () => undefined,
      refuse: (error) => events.push(error.message),
    });
    return { reader, events };
  };

  it('requests, settings, the key and notices are passed on, to the first ReadyForQuery', () => {
    const { reader, events } = fresh();
    reader.read(Buffer.concat([server.offerScram('SCRAM-SHA-256'), server.notice('x'), server.welcome()]));
    reader.read(server.authentication(0));
    expect(events.slice(0, -1)).toEqual(['R', 'N', 'R', 'S', 'K', 'Z']);
    expect(events.at(-1)).toContain('type "R"');
  });

  it.each([
    ['a row', server.dataRow(['1'])],
    ['a tag', server.commandComplete('SELECT 1')],
    ['an unknown request', server.authentication(77)],
    ['a password request with a salt, which pg would take for OK', server.authentication(3, Buffer.alloc(4))],
    ['an MD5 request without its salt', server.authentication(5)],
    ['mechanisms without an end', server.authentication(10, Buffer.from('SCRAM-SHA-256'))],
    ['a request that is longer than any is', server.authentication(11, Buffer.alloc(3_000))],
  ])('refused is %s', (_, bytes) => {
    const { reader, events } = fresh();
    reader.read(bytes);
    expect(events).toEqual([expect.stringContaining('Is it a PostgreSQL server?')]);
  });

  it('an authentication that pg does not know is called by its name', () => {
    const { reader, events } = fresh();
    reader.read(server.authentication(7));
    expect(events).toEqual([expect.stringContaining('the server asks for GSSAPI, which the driver pg')]);
  });
});
