import pg from 'pg';
import QueryStream from 'pg-query-stream';
import type { Happening } from '../fixtures.js';
import { STREAM_BATCH, type OpenPeer, type PartialPeer } from './peer.js';
import { SELECT_HAPPENINGS } from './statements.js';

/** `pg-query-stream`: pg-cursor as a Readable. */
class PgQueryStreamPeer implements PartialPeer {
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  async stream(consume: (row: Happening) => void): Promise<void> {
    const stream = this.#client.query(new QueryStream(SELECT_HAPPENINGS, [], { batchSize: STREAM_BATCH }));
    for await (const row of stream) consume(row as Happening);
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}

export const open: OpenPeer = async ({ url }) => {
  const client = new pg.Client(url);
  await client.connect();
  return new PgQueryStreamPeer(client);
};
