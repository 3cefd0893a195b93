/** Messages as a server writes them, for readers without a server. */
function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(5);
  header.write(type, 0, 'latin1');
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function field(value: string | null): Buffer {
  const text = Buffer.from(value ?? '');
  const size = Buffer.alloc(4);
  size.writeInt32BE(value === null ? -1 : text.length);
  return Buffer.concat([size, text]);
}

const zeroEnded = (text: string): Buffer => Buffer.from(`${text}\0`);

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

const column = (name: string, typeOid: number): Buffer =>
  Buffer.concat([zeroEnded(name), int32(0), int16(0), int32(typeOid), int16(0xffff), int32(-1), int16(0)]);

export const serverMessages = {
  /** A message of any type and body. */
  message,
  int16,
  int32,
  text: zeroEnded,
  parseComplete: () => message('1'),
  bindComplete: () => message('2'),
  portalSuspended: () => message('s'),
  rowDescription: (columns: Readonly<Record<string, number>>) => {
    const entries = Object.entries(columns);
    return message('T', int16(entries.length), ...entries.map(([name, oid]) => column(name, oid)));
  },
  dataRow: (values: readonly (string | null)[]) => message('D', int16(values.length), ...values.map(field)),
  commandComplete: (tag: string) => message('C', zeroEnded(tag)),
  notice: (text: string) => message('N', zeroEnded('SNOTICE'), zeroEnded(`M${text}`), Buffer.alloc(1)),
  error: (state: string, text: string) =>
    message('E', zeroEnded('SERROR'), zeroEnded(`C${state}`), zeroEnded(`M${text}`), Buffer.alloc(1)),
  parameterStatus: (name: string, value: string) => message('S', zeroEnded(name), zeroEnded(value)),
  readyForQuery: (status: string) => message('Z', Buffer.from(status)),
  /** `code` as the manual numbers the requests: 0 is OK, 3 a password, 10 to 12 are SASL's. */
  authentication: (code: number, ...body: readonly Buffer[]) => message('R', int32(code), ...body),
  offerScram: (...mechanisms: readonly string[]) =>
    message('R', int32(10), ...mechanisms.map(zeroEnded), Buffer.alloc(1)),
  backendKeyData: () => message('K', int32(1), int32(2)),
  /** The login is over: OK, facts, ready. */
  welcome: () =>
    Buffer.concat([
      serverMessages.authentication(0),
      serverMessages.parameterStatus('server_version', '18.0'),
      serverMessages.backendKeyData(),
      serverMessages.readyForQuery('I'),
    ]),
  /** The whole answer to a statement that was just parsed: one row of one text. */
  oneRow: (value: string) =>
    Buffer.concat([
      serverMessages.parseComplete(),
      serverMessages.bindComplete(),
      serverMessages.rowDescription({ a: 25 }),
      serverMessages.dataRow([value]),
      serverMessages.commandComplete('SELECT 1'),
      serverMessages.readyForQuery('I'),
    ]),
} as const;
