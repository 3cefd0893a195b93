import { defineConfig, mergeConfig } from 'vitest/config';
import base from './vitest.config.js';

// The long form of test/integration/campaign.spec.ts. CAMPAIGN_SEED repeats a run.
export default mergeConfig(
  base,
  defineConfig({
    test: {
      env: { CAMPAIGN_RUNS: process.env['CAMPAIGN_RUNS'] ?? '20000' },
      typecheck: { enabled: false },
    },
  }),
);
