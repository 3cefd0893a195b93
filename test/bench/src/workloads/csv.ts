import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { BenchmarkError } from '../benchmark-error.js';
import { makeHappenings } from '../fixtures.js';
import { GOALS } from '../goals.js';
import { OURS } from '../peers/index.js';
import { SELECT_HAPPENINGS } from '../peers/statements.js';
import type { Contender, Setting, Workload } from '../workload.js';

const COPY = `COPY (${SELECT_HAPPENINGS}) TO STDOUT (FORMAT csv)`;
const LINE_FEED = 10;

interface Source {
  readonly open: () => Readable;
  readonly close: () => Promise<void>;
}

/** Reads the text to its end and counts its lines. */
function reading(name: string, openSource: (setting: Setting) => Promise<Source>): Contender {
  return {
    name,
    async open(setting) {
      const { open, close } = await openSource(setting);
      const { rows: wanted = 1 } = setting.size;
      const run = async (): Promise<void> => {
        let lines = 0;
        const count = new Writable({
          write(chunk: Buffer, _encoding, done) {
            for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1))
              lines += 1;
            done();
          },
        });
        await pipeline(open(), count);
        // With a head, or without.
        if (lines === wanted || lines === wanted + 1) return;
        throw new BenchmarkError(`${lines} lines came for ${wanted} rows. Look at the source of the text.`);
      };
      return { run, close };
    },
  };
}

const copyStreams = reading('COPY by pg-copy-streams', async ({ url }) => {
  const [{ default: pg }, { to }] = await Promise.all([import('pg'), import('pg-copy-streams')]);
  const client = new pg.Client(url);
  await client.connect();
  return { open: () => client.query(to(COPY)), close: () => client.end() };
});

const copyTo = reading(`${OURS}, copyTo()`, async ({ url }) => {
  const { createAsyncEngine } = await import('nest-async-engine/engine');
  const engine = createAsyncEngine(url);
  return { open: () => engine.copyTo(COPY), close: () => engine.aclose() };
});

const rowText = reading(`${OURS}, format: 'csv'`, async ({ url }) => {
  const { createAsyncEngine, RowTextStream, text } = await import('nest-async-engine/engine');
  const engine = createAsyncEngine(url);
  const statement = text(SELECT_HAPPENINGS);
  const open = (): Readable => new RowTextStream(engine.stream(statement), { format: 'csv' });
  return { open, close: () => engine.aclose() };
});

export const csv: Workload = {
  name: 'csv',
  title: '100,000 rows as CSV',
  contenders: [copyStreams, rowText, copyTo],
  base: copyStreams.name,
  goals: GOALS.csv,
  full: { operations: 1, rows: 100_000 },
  smoke: { operations: 1, rows: 1_000 },
  fixtures: ({ rows = 1 }) => makeHappenings(rows),
};
