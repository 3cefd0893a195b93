import { expect, it } from 'vitest';
import { createAsyncEngine } from 'nest-async-engine/engine';
import { Campaign } from '../support/campaign/campaign.js';
import { createDatabase } from '../support/server/postgres.js';

const SHORT = 600;
const runs = Number(process.env['CAMPAIGN_RUNS'] ?? SHORT);
const seed = Number(process.env['CAMPAIGN_SEED'] ?? Date.now() % 1_000_000);

const silent = { log() {}, warn() {}, error() {} };

it(
  `refuses every wrong argument, and keeps nothing: ${runs} calls of seed ${seed}`,
  async () => {
    const database = await createDatabase('campaign');
    const engine = createAsyncEngine(database.url, { poolSize: 2, maxOverflow: 0, logger: silent });
    try {
      expect(await new Campaign(engine, seed).run(runs)).toEqual([]);
    } finally {
      await engine.aclose();
      await database.drop();
    }
  },
  30_000 + runs * 50,
);
