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

export const serverMessages = {
  parseComplete: () => message('1'),
  bindComplete: () => message('2'),
  portalSuspended: () => message('s'),
  dataRow: (values: readonly (string | null)[]) => message('D', int16(values.length), ...values.map(field)),
  commandComplete: (tag: string) => message('C', zeroEnded(tag)),
  notice: (text: string) => message('N', zeroEnded('SNOTICE'), zeroEnded(`M${text}`), Buffer.alloc(1)),
  parameterStatus: (name: string, value: string) => message('S', zeroEnded(name), zeroEnded(value)),
  readyForQuery: (status: string) => message('Z', Buffer.from(status)),
};
