import { EventEmitter, once } from 'node:events';
import { Readable } from 'node:stream';
import type { Connection, Submittable } from 'pg';

/** COPY TO as pg-copy-streams does it: it reads the socket itself, and no more than its reader takes. */
export class CopyTo extends Readable implements Submittable {
  readonly text: string;
  #stream: Connection['stream'] | undefined;
  #parse: ((chunk: Buffer) => void) | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #isAsked = false;

  constructor(text: string) {
    super();
    this.text = text;
  }

  submit(connection: Connection): void {
    const { stream } = connection;
    this.#parse = stream.listeners('data')[0] as (chunk: Buffer) => void;
    stream.off('data', this.#parse).pause();
    stream.on('readable', this.#forward);
    this.#stream = stream;
    connection.query(this.text);
  }

  handleError(error: Error): void {
    this.destroy(error);
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {}

  override _read(): void {
    this.#isAsked = true;
    this.#forward();
  }

  readonly #forward = (): void => {
    while (this.#isAsked) {
      const chunk = this.#stream?.read() as Buffer | null | undefined;
      if (chunk === null || chunk === undefined) return;
      this.#rest = Buffer.concat([this.#rest, chunk]);
      this.#takeRows();
    }
  };

  #takeRows(): void {
    while (this.#rest.length > 4 && this.#rest.length > this.#rest.readUInt32BE(1)) {
      const [type, end] = [String.fromCharCode(this.#rest[0] ?? 0), this.#rest.readUInt32BE(1) + 1];
      if (type !== 'H' && type !== 'd') return this.#giveBack();
      if (type === 'd') this.#isAsked = this.push(this.#rest.subarray(5, end));
      this.#rest = this.#rest.subarray(end);
    }
  }

  #giveBack(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (this.#parse !== undefined) stream?.off('readable', this.#forward).on('data', this.#parse);
    this.#parse?.(this.#rest);
    process.nextTick(() => stream?.resume());
    this.push(null);
  }
}

/** COPY FROM as pg-copy-streams does it: it writes the rows into the socket. */
export class CopyFrom implements Submittable {
  readonly text: string;
  readonly #events = new EventEmitter();
  readonly #started: Promise<unknown[]> = once(this.#events, 'started');
  readonly #ended: Promise<unknown[]> = once(this.#events, 'ended');

  constructor(text: string) {
    this.text = text;
  }

  submit(connection: Connection): void {
    connection.query(this.text);
  }

  handleCopyInResponse(connection: Connection): void {
    this.#events.emit('started', connection);
  }

  handleError(error: Error): void {
    this.#events.emit('error', error);
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#events.emit('ended');
  }

  /** One row, as a message of its own. */
  async write(row: string): Promise<void> {
    const [{ stream }] = (await this.#started) as [Connection];
    const head = Buffer.alloc(5, 'd');
    head.writeUInt32BE(Buffer.byteLength(row) + 5, 1);
    stream.write(Buffer.concat([head, Buffer.from(`${row}\n`)]));
  }

  async end(): Promise<void> {
    const [{ stream }] = (await this.#started) as [Connection];
    stream.write(Buffer.from([0x63, 0, 0, 0, 4]));
    await this.#ended;
  }
}
